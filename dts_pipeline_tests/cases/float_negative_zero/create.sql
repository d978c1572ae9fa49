CREATE TABLE float_negative_zero (id INT PRIMARY KEY, f FLOAT, d DOUBLE);
