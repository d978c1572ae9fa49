INSERT INTO key_composite VALUES (-1,'','1969-12-31',-1.5,0x00,0,1),(2,'é','9999-12-31',0,0xFFFFFFFF,9223372036854775808,2);
UPDATE key_composite SET v=9 WHERE a=1;
-- next batch
UPDATE key_composite SET d=2.25 WHERE a=2;
DELETE FROM key_composite WHERE a=-1;
