CREATE TABLE fk_cascade_unique_column__parent (id INT PRIMARY KEY, code VARCHAR(20) NOT NULL, n INT, UNIQUE KEY (code)) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE TABLE fk_cascade_unique_column__child (id INT PRIMARY KEY, code VARCHAR(20), v INT, FOREIGN KEY (code) REFERENCES fk_cascade_unique_column__parent (code) ON DELETE SET NULL ON UPDATE CASCADE) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
INSERT INTO fk_cascade_unique_column__parent VALUES (1,'one',1),(2,'two',2),(3,'three',3),(4,'four',4);
INSERT INTO fk_cascade_unique_column__child VALUES (10,'one',1),(11,'ONE',2),(20,'two',3),(30,'three',4),(31,'Three',5),(40,'four',6);
