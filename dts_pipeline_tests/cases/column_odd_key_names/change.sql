INSERT INTO column_odd_key_names VALUES (1,1,'y',1),(2,1,'z',2);
UPDATE column_odd_key_names SET v=9 WHERE `back``tick`='x';
-- next batch
DELETE FROM column_odd_key_names WHERE `größe`=2;
UPDATE column_odd_key_names SET `a b`=7 WHERE v=1;
