INSERT INTO table_hash_partitioned VALUES (3,3),(4,4),(5,5);
UPDATE table_hash_partitioned SET id=id+100 WHERE id IN (1,2);
