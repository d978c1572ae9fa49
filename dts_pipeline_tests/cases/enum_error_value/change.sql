SET SESSION sql_mode='';
INSERT INTO enum_error_value VALUES (1,'zz','zz'),(2,'a','x'),(3,'','y'),(4,NULL,'');
UPDATE enum_error_value SET e='zz' WHERE id=9;
UPDATE enum_error_value SET n='x' WHERE id=8;
-- next batch
SET SESSION sql_mode='';
UPDATE enum_error_value SET n='y' WHERE id=1;
UPDATE enum_error_value SET e='b' WHERE id=9;
DELETE FROM enum_error_value WHERE id=3;
