INSERT INTO row_insert_delete_insert VALUES (1,1);
DELETE FROM row_insert_delete_insert WHERE id=1;
INSERT INTO row_insert_delete_insert VALUES (1,2);
DELETE FROM row_insert_delete_insert WHERE id=9;
INSERT INTO row_insert_delete_insert VALUES (9,1);
INSERT INTO row_insert_delete_insert VALUES (2,1);
DELETE FROM row_insert_delete_insert WHERE id=2;
-- next batch
DELETE FROM row_insert_delete_insert WHERE id=1;
INSERT INTO row_insert_delete_insert VALUES (1,2);
DELETE FROM row_insert_delete_insert WHERE id=1;
