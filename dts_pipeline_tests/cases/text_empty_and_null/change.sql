INSERT INTO text_empty_and_null VALUES (1,'','','','',''),(2,NULL,NULL,NULL,NULL,NULL);
UPDATE text_empty_and_null SET v=NULL,t=NULL,b=NULL,l=NULL,c=NULL WHERE id=8;
UPDATE text_empty_and_null SET v='',t='',b='',l='',c='' WHERE id=9;
-- next batch
UPDATE text_empty_and_null SET v='',t='',b='',l='',c='' WHERE id=2;
