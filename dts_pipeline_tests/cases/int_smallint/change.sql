INSERT INTO int_smallint VALUES (1,-32768,0,-32768),(2,32767,65535,32767),(3,NULL,NULL,0),(4,-1,1,-1),(5,0,65535-1,1);
UPDATE int_smallint SET s=-32768, u=65535, nn=32767 WHERE id=50;
-- next batch
UPDATE int_smallint SET s=32767, u=NULL WHERE id=1;
UPDATE int_smallint SET s=NULL, u=65535 WHERE id=2;
DELETE FROM int_smallint WHERE id=4;
