UPDATE text_0900_collation SET v='Á',b='A' WHERE id=1;
UPDATE text_0900_collation SET v='a',b='a' WHERE id=2;
