BEGIN;
DELETE FROM fk_cascade_parent_again__parent WHERE id=1;
INSERT INTO fk_cascade_parent_again__parent VALUES (1,1);
REPLACE INTO fk_cascade_parent_again__parent VALUES (2,9);
COMMIT;
