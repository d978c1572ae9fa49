CREATE TABLE table_check_constraint (id INT PRIMARY KEY, a INT CHECK (a > 0), b INT, CHECK (b < 100));
