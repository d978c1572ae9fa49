INSERT INTO column_default_holding_null VALUES (1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO column_default_holding_null (id) VALUES (2);
-- next batch
UPDATE column_default_holding_null SET i=NULL,v=NULL,d=NULL,dc=NULL,b=NULL,e=NULL,f=NULL,ts=NULL,bl=NULL WHERE id=2;
