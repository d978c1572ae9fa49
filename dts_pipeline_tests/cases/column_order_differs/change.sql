INSERT INTO column_order_differs (id,a,b,c) VALUES (1,2,'y',2.5),(2,NULL,'',NULL);
UPDATE column_order_differs SET a=3, b='z' WHERE id=9;
-- next batch
DELETE FROM column_order_differs WHERE id=2;
UPDATE column_order_differs SET c=0 WHERE id=1;
