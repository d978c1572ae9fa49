INSERT INTO unique_with_nulls VALUES (4,NULL,1),(5,1,NULL),(6,1,1);
UPDATE unique_with_nulls SET a=5 WHERE id=1;
UPDATE unique_with_nulls SET a=NULL WHERE id=6;
-- next batch
UPDATE unique_with_nulls SET a=1, b=1 WHERE id=4;
