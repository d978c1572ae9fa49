CREATE TABLE decimal_scales_differ_harmlessly (id INT PRIMARY KEY, a DECIMAL, b DECIMAL(5), c DECIMAL(5,5), d NUMERIC(3,1));
