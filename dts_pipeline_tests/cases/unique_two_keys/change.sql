BEGIN;
DELETE FROM unique_two_keys WHERE id=1;
UPDATE unique_two_keys SET a=1 WHERE id=2;
UPDATE unique_two_keys SET b=2 WHERE id=3;
INSERT INTO unique_two_keys VALUES (4,2,3);
COMMIT;
