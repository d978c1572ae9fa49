CREATE TABLE fk_cascade_levels_with_events__parent (id INT PRIMARY KEY, v INT);
CREATE TABLE fk_cascade_levels_with_events__child (id INT PRIMARY KEY, p INT, v INT, FOREIGN KEY (p) REFERENCES fk_cascade_levels_with_events__parent (id) ON DELETE CASCADE);
CREATE TABLE fk_cascade_levels_with_events__last (id INT PRIMARY KEY, c INT, v INT, FOREIGN KEY (c) REFERENCES fk_cascade_levels_with_events__child (id) ON DELETE CASCADE);
INSERT INTO fk_cascade_levels_with_events__parent VALUES (1,1),(2,2);
INSERT INTO fk_cascade_levels_with_events__child VALUES (10,1,1),(11,1,2),(20,2,3);
INSERT INTO fk_cascade_levels_with_events__last VALUES (100,10,1),(110,11,2),(111,11,3),(200,20,4);
