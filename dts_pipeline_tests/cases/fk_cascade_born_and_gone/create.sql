CREATE TABLE fk_cascade_born_and_gone__parent (id INT PRIMARY KEY, v INT);
CREATE TABLE fk_cascade_born_and_gone__child (id INT PRIMARY KEY, p INT, sku INT UNIQUE, FOREIGN KEY (p) REFERENCES fk_cascade_born_and_gone__parent (id) ON DELETE CASCADE);
INSERT INTO fk_cascade_born_and_gone__parent VALUES (1,1),(2,2);
INSERT INTO fk_cascade_born_and_gone__child VALUES (10,1,1),(20,2,2);
