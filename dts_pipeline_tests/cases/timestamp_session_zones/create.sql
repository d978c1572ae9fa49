CREATE TABLE timestamp_session_zones (id INT PRIMARY KEY, ts TIMESTAMP(6) NULL, dt DATETIME(6));
