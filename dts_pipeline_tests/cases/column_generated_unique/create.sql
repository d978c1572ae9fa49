CREATE TABLE column_generated_unique (id INT PRIMARY KEY, a INT, s INT AS (a + 1) STORED, UNIQUE KEY (s));
INSERT INTO column_generated_unique (id,a) VALUES (8,1),(9,2);
