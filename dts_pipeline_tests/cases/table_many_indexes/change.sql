INSERT INTO table_many_indexes VALUES (2,2,'y',2);
UPDATE table_many_indexes SET a=5, b='z' WHERE id=1;
