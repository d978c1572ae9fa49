INSERT INTO row_many_in_one_statement SELECT a.n*100+b.n*10+c.n, 1 FROM (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) a, (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5) b, (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3) c;
UPDATE row_many_in_one_statement SET v=v+id;
-- next batch
DELETE FROM row_many_in_one_statement WHERE id % 3 = 0;
UPDATE row_many_in_one_statement SET id=id+1000;
