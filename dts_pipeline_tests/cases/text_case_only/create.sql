CREATE TABLE text_case_only (id INT PRIMARY KEY, v VARCHAR(20) COLLATE utf8mb4_general_ci, t TEXT COLLATE utf8mb4_general_ci, e ENUM('a','b'));
INSERT INTO text_case_only VALUES (1,'a','a','a'),(2,'e','e','a'),(3,'a','a','a'),(4,'straße','ss','b');
