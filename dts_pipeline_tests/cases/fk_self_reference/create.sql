CREATE TABLE fk_self_reference (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES fk_self_reference (id));
INSERT INTO fk_self_reference VALUES (1,NULL),(2,1),(3,2);
