CREATE TABLE unique_with_nulls (id INT PRIMARY KEY, a INT, b INT, UNIQUE KEY (a, b));
INSERT INTO unique_with_nulls VALUES (1,NULL,1),(2,NULL,1),(3,1,NULL);
