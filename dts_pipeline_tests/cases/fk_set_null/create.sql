CREATE TABLE fk_set_null__parent (id INT PRIMARY KEY, v INT);
CREATE TABLE fk_set_null__child (id INT PRIMARY KEY, p INT, v INT, FOREIGN KEY (p) REFERENCES fk_set_null__parent (id) ON DELETE SET NULL ON UPDATE SET NULL);
INSERT INTO fk_set_null__parent VALUES (1,1),(2,2),(3,3);
INSERT INTO fk_set_null__child VALUES (10,1,1),(11,1,2),(20,2,3),(30,3,4);
