CREATE TABLE column_invisible (id INT PRIMARY KEY, a INT INVISIBLE, b INT, c VARCHAR(5) INVISIBLE);
INSERT INTO column_invisible (id,a,b,c) VALUES (9,1,1,'x');
