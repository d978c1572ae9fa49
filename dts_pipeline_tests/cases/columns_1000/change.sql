INSERT INTO columns_1000 (id,c0,c998) VALUES (1,1,2);
-- next batch
UPDATE columns_1000 SET c500=3, c0=NULL;
