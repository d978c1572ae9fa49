INSERT INTO table_check_constraint VALUES (1,1,1),(2,NULL,NULL);
-- next batch
UPDATE table_check_constraint SET a=5, b=-5;
