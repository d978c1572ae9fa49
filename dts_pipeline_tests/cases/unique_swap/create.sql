CREATE TABLE unique_swap (id INT PRIMARY KEY, u INT, v INT, UNIQUE KEY (u));
INSERT INTO unique_swap VALUES (1,10,1),(2,20,2);
