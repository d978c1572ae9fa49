CREATE TABLE row_delete_of_missing (id INT PRIMARY KEY, v INT);
INSERT INTO row_delete_of_missing VALUES (1,1);
