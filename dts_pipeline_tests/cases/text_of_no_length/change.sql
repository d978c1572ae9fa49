INSERT INTO text_of_no_length VALUES (1,'','','','',''),(2,NULL,NULL,NULL,NULL,'');
-- next batch
UPDATE text_of_no_length SET a=NULL, d=NULL WHERE id=1;
UPDATE text_of_no_length SET b='', c='' WHERE id=2;
