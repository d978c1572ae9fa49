CREATE TABLE column_odd_key_names (`größe` INT, `a b` INT, `back``tick` VARCHAR(5), v INT, PRIMARY KEY (`a b`, `größe`, `back``tick`));
INSERT INTO column_odd_key_names VALUES (1,2,'x',3);
