INSERT INTO float_negative_zero VALUES (1,'-0','-0'),(2,0,0);
