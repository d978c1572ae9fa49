CREATE TABLE key_move_chain (id INT PRIMARY KEY, v INT);
INSERT INTO key_move_chain VALUES (1,1),(2,2),(3,3),(4,4);
