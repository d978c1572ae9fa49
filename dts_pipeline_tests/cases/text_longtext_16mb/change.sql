INSERT INTO text_longtext_16mb VALUES (1,REPEAT('abcdefgh',2097152));
INSERT INTO text_longtext_16mb VALUES (2,'x');
