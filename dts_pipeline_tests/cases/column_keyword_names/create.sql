CREATE TABLE column_keyword_names (`key` INT PRIMARY KEY, `select` INT, `from` INT, `order` INT, `group` INT, `t` INT, `s` INT, `ord` INT, `before` INT, `after` INT, `op` INT, `source` INT, `k0` INT, `a0` INT, `is_delete` INT, `won` INT, `v` INT);
INSERT INTO column_keyword_names (`key`,`k0`) VALUES (9,1);
