UPDATE key_trailing_blanks SET k='a ' WHERE v=1;
INSERT INTO key_trailing_blanks VALUES ('b ',2);
-- next batch
UPDATE key_trailing_blanks SET k='a' WHERE v=1;
UPDATE key_trailing_blanks SET k='b', v=3 WHERE v=2;
