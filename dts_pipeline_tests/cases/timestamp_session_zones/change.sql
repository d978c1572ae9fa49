SET SESSION time_zone='+08:00';
INSERT INTO timestamp_session_zones VALUES (1,'2026-11-23 01:00:00','2026-11-23 01:00:00');
SET SESSION time_zone='-11:30';
INSERT INTO timestamp_session_zones VALUES (2,'2026-11-23 01:00:00','2026-11-23 01:00:00');
SET SESSION time_zone='+13:00';
INSERT INTO timestamp_session_zones VALUES (3,'1970-01-01 13:00:01','1970-01-01 13:00:01');
SET SESSION time_zone='SYSTEM';
INSERT INTO timestamp_session_zones VALUES (4,NOW(6),NOW(6));
