SET SESSION sql_mode='', time_zone='+00:00';
INSERT INTO zero_timestamp_not_null VALUES (1,'0000-00-00 00:00:00'),(2,'2026-01-01 00:00:00.001');
