CREATE TABLE row_touched_1000_times (id INT PRIMARY KEY, v INT, t VARCHAR(20));
INSERT INTO row_touched_1000_times VALUES (1,0,'');
