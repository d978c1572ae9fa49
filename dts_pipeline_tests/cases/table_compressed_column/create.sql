CREATE TABLE table_compressed_column (id INT PRIMARY KEY, t TEXT, u BLOB);
-- mariadb: ALTER TABLE table_compressed_column ADD c VARCHAR(500);
