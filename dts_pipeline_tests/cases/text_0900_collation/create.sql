CREATE TABLE text_0900_collation (id INT PRIMARY KEY, v VARCHAR(20) COLLATE utf8mb4_0900_ai_ci, b VARCHAR(9) COLLATE utf8mb4_0900_bin);
INSERT INTO text_0900_collation VALUES (1,'a','a'),(2,'a ','a ');
