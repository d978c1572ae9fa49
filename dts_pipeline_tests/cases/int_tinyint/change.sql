INSERT INTO int_tinyint VALUES (1,-128,0,-128),(2,127,255,127),(3,NULL,NULL,0),(4,-1,1,-1),(5,0,255-1,1);
UPDATE int_tinyint SET s=-128, u=255, nn=127 WHERE id=50;
-- next batch
UPDATE int_tinyint SET s=127, u=NULL WHERE id=1;
UPDATE int_tinyint SET s=NULL, u=255 WHERE id=2;
DELETE FROM int_tinyint WHERE id=4;
