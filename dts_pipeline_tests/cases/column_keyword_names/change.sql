INSERT INTO column_keyword_names VALUES (1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17);
UPDATE column_keyword_names SET `k0`=2, `ord`=3 WHERE `key`=9;
-- next batch
UPDATE column_keyword_names SET `select`=0, `is_delete`=1 WHERE `key`=1;
