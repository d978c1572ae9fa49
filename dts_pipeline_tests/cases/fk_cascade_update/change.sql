UPDATE fk_cascade_update__parent SET id=100 WHERE id=1;
-- next batch
UPDATE fk_cascade_update__parent SET id=1 WHERE id=2;
