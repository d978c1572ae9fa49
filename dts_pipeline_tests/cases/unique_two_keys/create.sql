CREATE TABLE unique_two_keys (id INT PRIMARY KEY, a INT, b INT, UNIQUE KEY (a), UNIQUE KEY (b));
INSERT INTO unique_two_keys VALUES (1,1,2),(2,2,1),(3,3,3);
