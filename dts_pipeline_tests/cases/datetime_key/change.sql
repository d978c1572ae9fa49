INSERT INTO datetime_key VALUES ('2000-01-01 00:00:00.000001',3),('9999-12-31 23:59:59.999999',4),('1000-01-01',5);
UPDATE datetime_key SET v=9 WHERE v=1;
-- next batch
UPDATE datetime_key SET d='2000-01-01 00:00:00.000002' WHERE v=2;
DELETE FROM datetime_key WHERE v=5;
