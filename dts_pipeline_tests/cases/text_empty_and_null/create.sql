CREATE TABLE text_empty_and_null (id INT PRIMARY KEY, v VARCHAR(20), t TEXT, b VARBINARY(20), l LONGBLOB, c CHAR(3));
INSERT INTO text_empty_and_null VALUES (8,'','','','',''),(9,NULL,NULL,NULL,NULL,NULL);
