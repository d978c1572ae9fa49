SET SESSION timestamp=1792909800;
SET SESSION time_zone='+02:00';
INSERT INTO timestamp_named_zones VALUES (1,NOW(3),NOW(3));
SET SESSION time_zone='+01:00';
INSERT INTO timestamp_named_zones VALUES (2,NOW(3),NOW(3)),(3,FROM_UNIXTIME(1792913399.999),FROM_UNIXTIME(1792913399.999));
SET SESSION time_zone='+13:00';
INSERT INTO timestamp_named_zones VALUES (4,'2038-01-19 16:14:06.999','2038-01-19 16:14:06.999');
-- next batch
SET SESSION time_zone='-12:59';
UPDATE timestamp_named_zones SET ts='2026-03-29 01:30:00', dt='2026-03-29 01:30:00' WHERE id=3;
