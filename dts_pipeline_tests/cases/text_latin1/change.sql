INSERT INTO text_latin1 VALUES (1,'é','café€','ÿ£'),(2,'ñ','x',NULL);
UPDATE text_latin1 SET c='e', v='É', t='è' WHERE id=9;
