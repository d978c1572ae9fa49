CREATE TABLE table_many_indexes (id INT PRIMARY KEY, a INT, b VARCHAR(9), c INT, KEY (a), KEY (b, a), KEY (c DESC), KEY (b(2)));
INSERT INTO table_many_indexes VALUES (1,1,'x',1);
