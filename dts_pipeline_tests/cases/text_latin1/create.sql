CREATE TABLE text_latin1 (id INT PRIMARY KEY, c CHAR(5), v VARCHAR(20), t TEXT) CHARACTER SET latin1;
INSERT INTO text_latin1 VALUES (9,'é','é','é');
