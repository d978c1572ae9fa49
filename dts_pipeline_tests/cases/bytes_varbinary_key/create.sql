CREATE TABLE bytes_varbinary_key (k VARBINARY(20) PRIMARY KEY, v INT);
INSERT INTO bytes_varbinary_key VALUES ('a',1),(0x6100,2);
