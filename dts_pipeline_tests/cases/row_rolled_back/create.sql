CREATE TABLE row_rolled_back (id INT PRIMARY KEY, v INT);
INSERT INTO row_rolled_back VALUES (1,1);
