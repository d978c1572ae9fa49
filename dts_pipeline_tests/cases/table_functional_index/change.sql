INSERT INTO table_functional_index VALUES (1,1,'X');
-- next batch
UPDATE table_functional_index SET a=2, b='Y';
