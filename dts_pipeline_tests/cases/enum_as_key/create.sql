CREATE TABLE enum_as_key (k ENUM('z','a','m') NOT NULL, n INT, v INT, PRIMARY KEY (k, n));
INSERT INTO enum_as_key VALUES ('z',1,1),('a',1,2);
