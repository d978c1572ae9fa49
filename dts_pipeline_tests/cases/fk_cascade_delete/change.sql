DELETE FROM fk_cascade_delete__parent WHERE id=1;
-- next batch
BEGIN;
UPDATE fk_cascade_delete__child SET v=9 WHERE id=20;
DELETE FROM fk_cascade_delete__parent WHERE id=2;
COMMIT;
