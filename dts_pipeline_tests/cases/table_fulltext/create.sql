CREATE TABLE table_fulltext (id INT PRIMARY KEY, t TEXT, v VARCHAR(50), FULLTEXT KEY (t), FULLTEXT KEY (t, v));
INSERT INTO table_fulltext VALUES (1,'some words','here');
