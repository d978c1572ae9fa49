CREATE TABLE fk_cascade_self (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES fk_cascade_self (id) ON DELETE CASCADE);
INSERT INTO fk_cascade_self VALUES (1,NULL),(2,1),(3,2),(4,3),(9,NULL);
