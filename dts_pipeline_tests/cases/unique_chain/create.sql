CREATE TABLE unique_chain (id INT PRIMARY KEY, u VARCHAR(5) NOT NULL, UNIQUE KEY (u));
INSERT INTO unique_chain VALUES (1,'a'),(2,'b'),(3,'c'),(4,'d');
