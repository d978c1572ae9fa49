BEGIN;
INSERT INTO fk_cascade_born_and_gone__child VALUES (11,1,7),(12,1,8);
INSERT INTO fk_cascade_born_and_gone__parent VALUES (3,3);
INSERT INTO fk_cascade_born_and_gone__child VALUES (30,3,9);
DELETE FROM fk_cascade_born_and_gone__parent WHERE id IN (1,3);
INSERT INTO fk_cascade_born_and_gone__child VALUES (12,2,1),(13,2,8),(14,2,7);
COMMIT;
