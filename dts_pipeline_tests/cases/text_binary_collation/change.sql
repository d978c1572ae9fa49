INSERT INTO text_binary_collation VALUES (1,'a','a'),(2,'A','A'),(3,'ä','ä');
-- next batch
UPDATE text_binary_collation SET v='A', c='A' WHERE id=1;
UPDATE text_binary_collation SET v='a ' WHERE id=2;
