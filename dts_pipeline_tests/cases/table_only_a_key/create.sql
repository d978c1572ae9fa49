CREATE TABLE table_only_a_key (a INT, b VARCHAR(9), PRIMARY KEY (a, b));
INSERT INTO table_only_a_key VALUES (1,'x');
