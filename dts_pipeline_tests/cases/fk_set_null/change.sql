DELETE FROM fk_set_null__parent WHERE id=1;
UPDATE fk_set_null__parent SET id=22 WHERE id=2;
