CREATE TABLE column_order_differs_in_key (v INT, y VARCHAR(5), x INT, PRIMARY KEY (y, x));
INSERT INTO column_order_differs_in_key (x,y,v) VALUES (1,'a',1);
