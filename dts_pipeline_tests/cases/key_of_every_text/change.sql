UPDATE key_of_every_text SET k='ß' WHERE v=1;
UPDATE key_of_every_text SET k='OE' WHERE v=2;
UPDATE key_of_every_text SET k='í' WHERE v=3;
DELETE FROM key_of_every_text WHERE v=4;
INSERT INTO key_of_every_text VALUES ('fi',5);
-- next batch
UPDATE key_of_every_text SET k='SS' WHERE v=1;
UPDATE key_of_every_text SET k='I ' WHERE v=3;
UPDATE key_of_every_text SET k='ﬁ' WHERE v=5;
