INSERT INTO enum_as_key VALUES ('m',1,3),('a',2,4);
UPDATE enum_as_key SET v=9 WHERE k='z';
-- next batch
DELETE FROM enum_as_key WHERE k='a' AND n=1;
UPDATE enum_as_key SET k='z' WHERE k='a';
