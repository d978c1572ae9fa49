CREATE TABLE text_unicode_collation (id INT PRIMARY KEY, v VARCHAR(20) COLLATE utf8mb4_unicode_ci);
INSERT INTO text_unicode_collation VALUES (1,'a'),(2,'ss');
