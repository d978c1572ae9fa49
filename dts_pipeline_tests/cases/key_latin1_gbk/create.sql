CREATE TABLE key_latin1_gbk (k VARCHAR(10) CHARACTER SET latin1, g VARCHAR(10) CHARACTER SET gbk, v INT, PRIMARY KEY (k, g));
INSERT INTO key_latin1_gbk VALUES ('é','小',1);
