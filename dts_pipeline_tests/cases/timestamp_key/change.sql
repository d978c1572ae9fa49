SET SESSION time_zone='+05:30';
INSERT INTO timestamp_key VALUES ('2026-01-01 00:00:00.001',1,1),('2026-01-01 00:00:00.002',1,2);
-- next batch
SET SESSION time_zone='-03:00';
UPDATE timestamp_key SET v=5 WHERE v=1;
DELETE FROM timestamp_key WHERE v=2;
