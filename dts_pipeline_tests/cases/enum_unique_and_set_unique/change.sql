BEGIN;
UPDATE enum_unique_and_set_unique SET e=NULL, s='x,y' WHERE id=1;
UPDATE enum_unique_and_set_unique SET e='a', s='x' WHERE id=2;
UPDATE enum_unique_and_set_unique SET e='b', s='y' WHERE id=1;
COMMIT;
-- next batch
DELETE FROM enum_unique_and_set_unique WHERE id=1;
INSERT INTO enum_unique_and_set_unique VALUES (3,'b','');
