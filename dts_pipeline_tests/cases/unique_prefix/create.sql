CREATE TABLE unique_prefix (id INT PRIMARY KEY, u VARCHAR(50), t TEXT, UNIQUE KEY (u(3)), UNIQUE KEY (t(2)));
INSERT INTO unique_prefix VALUES (1,'abcd','xx1'),(2,'efgh','yy1');
