INSERT INTO enum_odd_labels VALUES (1,'a','1'),(2,'x, y','0'),(3,'it''s','2'),(4,'dq"','1'),(5,'b\\c','1'),(6,'trail','1'),(7,'é','0'),(8,'','0'),(9,NULL,NULL);
-- next batch
UPDATE enum_odd_labels SET e='', d='2' WHERE id=1;
UPDATE enum_odd_labels SET e='x, y' WHERE id=8;
