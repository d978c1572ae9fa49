BEGIN;
INSERT INTO row_many_in_one_transaction VALUES (1,1),(2,2),(3,3);
INSERT INTO row_many_in_one_transaction__other SELECT * FROM row_many_in_one_transaction;
UPDATE row_many_in_one_transaction r JOIN row_many_in_one_transaction__other o ON r.id=o.id SET r.v=r.v+10, o.v=o.v+20;
DELETE r, o FROM row_many_in_one_transaction r JOIN row_many_in_one_transaction__other o ON r.id=o.id WHERE r.id=2;
COMMIT;
-- next batch
BEGIN;
INSERT INTO row_many_in_one_transaction VALUES (1,5) ON DUPLICATE KEY UPDATE v=5;
INSERT IGNORE INTO row_many_in_one_transaction__other VALUES (1,9),(7,7);
COMMIT;
