INSERT INTO column_names_of_64_characters VALUES (1,2,3);
-- next batch
UPDATE column_names_of_64_characters SET `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`=9;
