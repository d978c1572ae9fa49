INSERT INTO table_compressed VALUES (1,REPEAT('abc',5000)),(2,'');
