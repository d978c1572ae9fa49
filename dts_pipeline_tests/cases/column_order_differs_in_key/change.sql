INSERT INTO column_order_differs_in_key (x,y,v) VALUES (2,'b',2),(2,'c',3);
UPDATE column_order_differs_in_key SET v=5 WHERE x=1;
-- next batch
DELETE FROM column_order_differs_in_key WHERE y='b';
UPDATE column_order_differs_in_key SET x=9 WHERE y='c';
