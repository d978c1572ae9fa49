INSERT INTO row_near_size_limit VALUES (REPEAT('k',250),REPEAT('a',7500),REPEAT('😀',8500),REPEAT(0xFF,500));
UPDATE row_near_size_limit SET a=REPEAT('é',7500) WHERE id='z';
-- next batch
UPDATE row_near_size_limit SET a='a ' ;
