INSERT INTO column_odd_names VALUES (1,2,3,4,'x',5,6,7,8,9,10,11,12,13);
-- next batch
UPDATE column_odd_names SET `with space`=0, `back``tick`=1, `名前`='名前', `%s`=2, `:p`=3;
