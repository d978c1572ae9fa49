CREATE TABLE column_generated (id INT PRIMARY KEY, a INT, v INT AS (a + 1) VIRTUAL, s INT AS (a * 2) STORED, c VARCHAR(20), u VARCHAR(20) AS (UPPER(c)) STORED);
INSERT INTO column_generated (id,a,c) VALUES (9,1,'x');
