CREATE TABLE row_replace (id INT PRIMARY KEY, u INT, v INT, UNIQUE KEY (u));
INSERT INTO row_replace VALUES (1,1,1),(2,2,2);
