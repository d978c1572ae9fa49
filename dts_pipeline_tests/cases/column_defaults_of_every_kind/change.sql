SET SESSION time_zone='+00:00';
INSERT INTO column_defaults_of_every_kind (id) VALUES (1);
INSERT INTO column_defaults_of_every_kind VALUES (2,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
-- next batch
UPDATE column_defaults_of_every_kind SET a=NULL, d=NULL, f=NULL, j=NULL, k=NULL, n=NULL WHERE id=1;
UPDATE column_defaults_of_every_kind SET a=DEFAULT, d=DEFAULT, g=DEFAULT, l=DEFAULT, m=DEFAULT, p=DEFAULT WHERE id=2;
