CREATE TABLE enum_error_value (id INT PRIMARY KEY, e ENUM('a','b'), n ENUM('x','y') NOT NULL);
SET SESSION sql_mode='';
INSERT INTO enum_error_value VALUES (8,'zz','zz'),(9,'a','x');
