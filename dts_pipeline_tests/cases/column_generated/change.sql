INSERT INTO column_generated (id,a,c) VALUES (1,1,'a'),(2,NULL,NULL),(3,-5,'é');
UPDATE column_generated SET a=10 WHERE id=9;
-- next batch
UPDATE column_generated SET a=7, c='zz' WHERE id=1;
DELETE FROM column_generated WHERE id=2;
