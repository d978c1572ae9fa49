CREATE TABLE fk_cascade_levels__parent (id INT PRIMARY KEY, v INT);
CREATE TABLE fk_cascade_levels__child (id INT PRIMARY KEY, p INT, v INT, FOREIGN KEY (p) REFERENCES fk_cascade_levels__parent (id) ON DELETE CASCADE);
CREATE TABLE fk_cascade_levels__a_grandchild (id INT PRIMARY KEY, c INT, v INT, FOREIGN KEY (c) REFERENCES fk_cascade_levels__child (id) ON DELETE CASCADE);
CREATE TABLE fk_cascade_levels__last (id INT PRIMARY KEY, g INT, v INT, FOREIGN KEY (g) REFERENCES fk_cascade_levels__a_grandchild (id) ON DELETE SET NULL);
INSERT INTO fk_cascade_levels__parent VALUES (1,1),(2,2);
INSERT INTO fk_cascade_levels__child VALUES (10,1,1),(11,1,2),(20,2,3);
INSERT INTO fk_cascade_levels__a_grandchild VALUES (100,10,1),(101,10,2),(110,11,3),(200,20,4);
INSERT INTO fk_cascade_levels__last VALUES (1000,100,1),(1100,110,2),(2000,200,3);
