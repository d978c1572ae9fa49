CREATE TABLE key_char_padded (k CHAR(5) PRIMARY KEY, v INT);
INSERT INTO key_char_padded VALUES ('a',1);
