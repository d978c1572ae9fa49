INSERT INTO text_gbk VALUES (1,'小','中文字','测试\\'),(2,'猫a','','a'),(3,NULL,'誠\\n',NULL);
-- next batch
UPDATE text_gbk SET v='誠' WHERE id=3;
