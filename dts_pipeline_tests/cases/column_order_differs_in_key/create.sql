CREATE TABLE column_order_differs_in_key (x INT, y VARCHAR(5), v INT, PRIMARY KEY (x, y));
INSERT INTO column_order_differs_in_key (x,y,v) VALUES (1,'a',1);
