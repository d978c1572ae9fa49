BEGIN;
UPDATE unique_swap SET u=NULL WHERE id=1;
UPDATE unique_swap SET u=10 WHERE id=2;
UPDATE unique_swap SET u=20 WHERE id=1;
COMMIT;
-- next batch
DELETE FROM unique_swap WHERE id=1;
INSERT INTO unique_swap VALUES (3,20,3);
