INSERT INTO date_key VALUES ('0001-01-01',1,1),('9999-12-31',1,2);
UPDATE date_key SET v=2 WHERE d='1969-12-31';
-- next batch
UPDATE date_key SET d='1970-01-01' WHERE d='2000-02-29';
DELETE FROM date_key WHERE d='0001-01-01';
