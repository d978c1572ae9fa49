INSERT INTO key_float_free_time VALUES ('838:59:59',1901,0,2),('00:00:00.001',0,1,3);
UPDATE key_float_free_time SET v=9 WHERE v=1;
-- next batch
DELETE FROM key_float_free_time WHERE v=2;
UPDATE key_float_free_time SET t='-00:00:00.001' WHERE v=3;
