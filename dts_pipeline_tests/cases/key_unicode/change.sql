INSERT INTO key_unicode VALUES ('a\\b',4),('a"b',5),('a\tb',6),('',7),('%s',8);
UPDATE key_unicode SET v=v+10;
-- next batch
DELETE FROM key_unicode WHERE v=12;
UPDATE key_unicode SET k='👍' WHERE v=11;
