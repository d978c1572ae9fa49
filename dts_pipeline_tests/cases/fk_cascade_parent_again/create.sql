CREATE TABLE fk_cascade_parent_again__parent (id INT PRIMARY KEY, v INT);
CREATE TABLE fk_cascade_parent_again__child (id INT PRIMARY KEY, p INT, v INT, FOREIGN KEY (p) REFERENCES fk_cascade_parent_again__parent (id) ON DELETE CASCADE);
INSERT INTO fk_cascade_parent_again__parent VALUES (1,1),(2,2),(3,3);
INSERT INTO fk_cascade_parent_again__child VALUES (10,1,1),(11,1,2),(20,2,3),(30,3,4);
