CREATE TABLE time_range (id INT PRIMARY KEY, t TIME, t1 TIME(1), t3 TIME(3), t6 TIME(6));
INSERT INTO time_range VALUES (50,'1:00','1:00','1:00','1:00');
