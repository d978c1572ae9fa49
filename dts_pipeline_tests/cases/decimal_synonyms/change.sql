INSERT INTO decimal_synonyms VALUES (1,-1.5,9999999.999,-9999999.999,9999999.999,0.1,-0.1,1e308,1.5);
-- next batch
UPDATE decimal_synonyms SET a=0, b=-0.001, c=0.001, d=0, e=1e-300, f=1.7976931348623157e308, g=0, h=0;
