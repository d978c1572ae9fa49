INSERT INTO column_invisible (id,a,b,c) VALUES (1,2,3,'y');
INSERT INTO column_invisible (id,b) VALUES (2,4);
UPDATE column_invisible SET a=5, c='z' WHERE id=9;
