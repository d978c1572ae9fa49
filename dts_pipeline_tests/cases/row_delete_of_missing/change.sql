SET SESSION sql_log_bin=0;
INSERT INTO row_delete_of_missing VALUES (2,2);
SET SESSION sql_log_bin=1;
DELETE FROM row_delete_of_missing WHERE id=2;
UPDATE row_delete_of_missing SET v=5 WHERE id=1;
