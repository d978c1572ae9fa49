INSERT INTO key_set VALUES ('c',1,3);
UPDATE key_set SET v=9 WHERE v=1;
-- next batch
DELETE FROM key_set WHERE v=2;
UPDATE key_set SET k='a,c' WHERE v=3;
