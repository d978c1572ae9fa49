CREATE TABLE row_near_size_limit (id VARCHAR(250) PRIMARY KEY, a VARCHAR(7500), b VARCHAR(8500), c VARBINARY(500));
INSERT INTO row_near_size_limit VALUES ('z','','','');
