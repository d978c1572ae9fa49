CREATE TABLE row_insert_delete_insert (id INT PRIMARY KEY, v INT);
INSERT INTO row_insert_delete_insert VALUES (9,1);
