CREATE TABLE fk_set_null_on_update__parent (id INT PRIMARY KEY, code INT UNIQUE);
CREATE TABLE fk_set_null_on_update__child (id INT PRIMARY KEY, code INT, v INT, FOREIGN KEY (code) REFERENCES fk_set_null_on_update__parent (code) ON UPDATE SET NULL);
INSERT INTO fk_set_null_on_update__parent VALUES (1,100),(2,200),(3,300);
INSERT INTO fk_set_null_on_update__child VALUES (10,100,1),(11,100,2),(20,200,3),(21,200,4);
