CREATE TABLE row_update_without_change (id INT PRIMARY KEY, v INT, t TEXT);
INSERT INTO row_update_without_change VALUES (1,1,'x');
