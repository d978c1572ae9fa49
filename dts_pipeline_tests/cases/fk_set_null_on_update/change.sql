BEGIN;
UPDATE fk_set_null_on_update__parent SET code=101 WHERE id=1;
UPDATE fk_set_null_on_update__child SET v=9 WHERE id=21;
UPDATE fk_set_null_on_update__parent SET code=NULL WHERE id=2;
UPDATE fk_set_null_on_update__child SET code=300 WHERE id=11;
COMMIT;
