CREATE TABLE column_order_differs (c DECIMAL(5,2), b VARCHAR(9), id INT PRIMARY KEY, a INT);
INSERT INTO column_order_differs (id,a,b,c) VALUES (9,1,'x',1.5);
