CREATE TABLE fk_cascade_composite__parent (a INT, b VARCHAR(10), v INT, PRIMARY KEY (a, b)) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE TABLE fk_cascade_composite__child (id INT PRIMARY KEY, pb VARCHAR(10), pa INT, v INT, FOREIGN KEY (pa, pb) REFERENCES fk_cascade_composite__parent (a, b) ON DELETE CASCADE ON UPDATE CASCADE) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE TABLE fk_cascade_composite__line (a INT, b VARCHAR(10), n INT, v INT, PRIMARY KEY (a, b, n), FOREIGN KEY (a, b) REFERENCES fk_cascade_composite__parent (a, b) ON DELETE CASCADE) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
INSERT INTO fk_cascade_composite__parent VALUES (1,'x',1),(1,'y',2),(2,'x',3);
INSERT INTO fk_cascade_composite__child VALUES (10,'x',1,1),(11,'y',1,2),(12,'x',2,3),(13,NULL,1,4);
INSERT INTO fk_cascade_composite__line VALUES (1,'x',1,1),(1,'x',2,2),(2,'x',1,3);
