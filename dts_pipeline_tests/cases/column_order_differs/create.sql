CREATE TABLE column_order_differs (id INT PRIMARY KEY, a INT, b VARCHAR(9), c DECIMAL(5,2));
INSERT INTO column_order_differs (id,a,b,c) VALUES (9,1,'x',1.5);
