BEGIN;
UPDATE fk_cascade_levels_with_events__child SET v=9 WHERE id IN (10,11);
DELETE FROM fk_cascade_levels_with_events__parent WHERE id=1;
INSERT INTO fk_cascade_levels_with_events__child VALUES (10,2,5);
INSERT INTO fk_cascade_levels_with_events__last VALUES (111,20,7);
COMMIT;
