INSERT INTO text_many_charsets VALUES (1,'abc~','é小','😀é','😀é','é小','привет','привет','日本','한국','中文','łódź','αβγ'),(2,'','','','','','','','','','','',''),(3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
-- next batch
UPDATE text_many_charsets SET ko='ПРИВЕТ', u16='é' WHERE id=1;
