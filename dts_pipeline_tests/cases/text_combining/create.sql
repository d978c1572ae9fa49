CREATE TABLE text_combining (id INT PRIMARY KEY, v VARCHAR(40)) CHARACTER SET utf8mb4;
INSERT INTO text_combining VALUES (9,'é');
