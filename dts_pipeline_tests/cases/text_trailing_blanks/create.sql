CREATE TABLE text_trailing_blanks (id INT PRIMARY KEY, c CHAR(10), v VARCHAR(10), t TEXT, b VARCHAR(10) COLLATE utf8mb4_bin);
INSERT INTO text_trailing_blanks VALUES (9,'x','x','x','x');
