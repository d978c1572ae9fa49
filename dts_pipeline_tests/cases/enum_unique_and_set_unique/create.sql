CREATE TABLE enum_unique_and_set_unique (id INT PRIMARY KEY, e ENUM('a','b','c'), s SET('x','y'), UNIQUE KEY (e), UNIQUE KEY (s));
INSERT INTO enum_unique_and_set_unique VALUES (1,'a','x'),(2,'b','y');
