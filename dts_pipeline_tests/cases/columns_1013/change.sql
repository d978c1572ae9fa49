INSERT INTO columns_1013 (id,c0,c1011) VALUES (1,1,2);
-- next batch
UPDATE columns_1013 SET c500=3, c0=NULL;
