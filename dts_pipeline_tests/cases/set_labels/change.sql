INSERT INTO set_labels VALUES (1,'a','1'),(2,'a,b\\c','1,4'),(3,'b\\c,q''q,x y','2'),(4,'',''),(5,NULL,'4'),(6,'é,a','1,2,4');
UPDATE set_labels SET s='' WHERE id=9;
-- next batch
UPDATE set_labels SET s='x y', n='' WHERE id=1;
UPDATE set_labels SET s='a', n='2,1' WHERE id=9;
