CREATE TABLE table_hash_partitioned (id INT PRIMARY KEY, v INT) PARTITION BY HASH (id) PARTITIONS 4;
INSERT INTO table_hash_partitioned VALUES (1,1),(2,2);
