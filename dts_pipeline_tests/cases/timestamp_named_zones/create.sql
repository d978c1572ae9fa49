CREATE TABLE timestamp_named_zones (id INT PRIMARY KEY, ts TIMESTAMP(3) NULL, dt DATETIME(3));
