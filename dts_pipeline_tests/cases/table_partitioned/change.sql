INSERT INTO table_partitioned VALUES (3,'2026-01-01',3);
UPDATE table_partitioned SET d='2025-01-01' WHERE id=1;
-- next batch
DELETE FROM table_partitioned WHERE id=2;
UPDATE table_partitioned SET v=8 WHERE id=3;
