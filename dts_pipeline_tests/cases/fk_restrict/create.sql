CREATE TABLE fk_restrict__parent (id INT PRIMARY KEY, v INT);
CREATE TABLE fk_restrict__a_child (id INT PRIMARY KEY, p INT NOT NULL, FOREIGN KEY (p) REFERENCES fk_restrict__parent (id));
INSERT INTO fk_restrict__parent VALUES (1,1);
INSERT INTO fk_restrict__a_child VALUES (1,1);
