CREATE TABLE key_moves_swapped (id INT PRIMARY KEY, v VARCHAR(9));
INSERT INTO key_moves_swapped VALUES (1,'one'),(2,'two'),(3,'three');
