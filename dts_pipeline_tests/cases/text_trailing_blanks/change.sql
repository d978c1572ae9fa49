INSERT INTO text_trailing_blanks VALUES (1,'a','a ','a  ','a '),(2,'  a','  a ',' ',' '),(3,'',' ','','');
UPDATE text_trailing_blanks SET v='x ', t='x ', b='x ' WHERE id=9;
-- next batch
UPDATE text_trailing_blanks SET v='x', t='x  ', b='x  ' WHERE id=9;
UPDATE text_trailing_blanks SET v='a' WHERE id=1;
