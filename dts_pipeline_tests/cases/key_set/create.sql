CREATE TABLE key_set (k SET('a','b','c'), n INT, v INT, PRIMARY KEY (k, n));
INSERT INTO key_set VALUES ('a,b',1,1),('',1,2);
