INSERT INTO fk_self_reference VALUES (10,10),(11,10),(12,11);
DELETE FROM fk_self_reference WHERE id=3;
UPDATE fk_self_reference SET parent=12 WHERE id=2;
-- next batch
UPDATE fk_self_reference SET parent=NULL WHERE id=2;
DELETE FROM fk_self_reference WHERE id=12;
DELETE FROM fk_self_reference WHERE id=11;
