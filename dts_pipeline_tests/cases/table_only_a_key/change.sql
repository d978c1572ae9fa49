INSERT INTO table_only_a_key VALUES (1,'y'),(2,'x');
DELETE FROM table_only_a_key WHERE a=1 AND b='x';
-- next batch
UPDATE table_only_a_key SET a=3 WHERE b='y';
