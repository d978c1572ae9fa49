UPDATE row_update_without_change SET v=1 WHERE id=1;
UPDATE row_update_without_change SET v=2 WHERE id=1;
UPDATE row_update_without_change SET v=1 WHERE id=1;
INSERT INTO row_update_without_change VALUES (2,2,'y');
