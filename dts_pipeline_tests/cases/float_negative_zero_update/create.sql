CREATE TABLE float_negative_zero_update (id INT PRIMARY KEY, f FLOAT, d DOUBLE);
INSERT INTO float_negative_zero_update VALUES (8,'-0','-0'),(9,0,0);
