BEGIN;
DELETE FROM fk_cascade_child_again__parent WHERE id=1;
INSERT INTO fk_cascade_child_again__child VALUES (10,2,5),(13,2,6);
INSERT INTO fk_cascade_child_again__parent VALUES (1,7);
INSERT INTO fk_cascade_child_again__child VALUES (11,1,8);
COMMIT;
