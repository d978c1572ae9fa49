INSERT INTO key_char_padded VALUES ('b  ',2),('',3),(' c',4);
UPDATE key_char_padded SET v=9 WHERE k='a';
-- next batch
UPDATE key_char_padded SET k='A' WHERE k='a';
DELETE FROM key_char_padded WHERE k='';
