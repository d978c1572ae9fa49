INSERT INTO column_generated_unique (id,a) VALUES (1,10);
UPDATE column_generated_unique SET a=50 WHERE id=8;
UPDATE column_generated_unique SET a=1 WHERE id=9;
UPDATE column_generated_unique SET a=2 WHERE id=8;
