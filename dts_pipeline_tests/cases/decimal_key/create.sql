CREATE TABLE decimal_key (k DECIMAL(20,5) PRIMARY KEY, v INT);
INSERT INTO decimal_key VALUES (-1.5,1),(1.5,2);
