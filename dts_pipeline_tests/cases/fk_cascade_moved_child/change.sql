BEGIN;
UPDATE fk_cascade_moved_child__child SET p=2 WHERE id=10;
UPDATE fk_cascade_moved_child__child SET p=1 WHERE id=20;
DELETE FROM fk_cascade_moved_child__parent WHERE id=1;
COMMIT;
