INSERT INTO fk_restrict__parent VALUES (2,2);
UPDATE fk_restrict__a_child SET p=2;
DELETE FROM fk_restrict__parent WHERE id=1;
-- next batch
DELETE FROM fk_restrict__a_child;
DELETE FROM fk_restrict__parent;
INSERT INTO fk_restrict__parent VALUES (3,3);
INSERT INTO fk_restrict__a_child VALUES (3,3);
