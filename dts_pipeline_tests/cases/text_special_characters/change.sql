INSERT INTO text_special_characters VALUES (1,'a\0b','\0'),(2,'back\\slash \\','\\\\'),(3,'it''s "q" `b`',''''),(4,'tab\tnew\nline\r\n','\n'),(5,'%s %d %(x)s %% %','%'),(6,'\\N','\\N'),(7,'NULL','null'),(8,'\Z\b','#-- /* */ ;'),(9,'{"a": 1}','<>&'),(10,'__debezium','${env:X}');
INSERT INTO text_special_characters VALUES (11,CONCAT('x',CHAR(1),CHAR(7),CHAR(31),CHAR(127)),CHAR(0x2028 USING ucs2));
-- next batch
UPDATE text_special_characters SET v='\\n', t='\n' WHERE id=1;
UPDATE text_special_characters SET v='%%s' WHERE id=5;
