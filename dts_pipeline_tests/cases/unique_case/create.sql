CREATE TABLE unique_case (id INT PRIMARY KEY, u VARCHAR(9) COLLATE utf8mb4_general_ci, UNIQUE KEY (u));
INSERT INTO unique_case VALUES (1,'a'),(2,'b');
