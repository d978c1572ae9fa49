INSERT INTO key_latin1_gbk VALUES ('ü','中',2),('u','文',3);
UPDATE key_latin1_gbk SET v=9 WHERE v=1;
-- next batch
DELETE FROM key_latin1_gbk WHERE v=2;
UPDATE key_latin1_gbk SET k='E' WHERE v=9;
