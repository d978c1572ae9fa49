REPLACE INTO row_replace VALUES (1,1,9);
REPLACE INTO row_replace VALUES (3,2,9);
INSERT INTO row_replace VALUES (5,1,7) ON DUPLICATE KEY UPDATE v=77;
-- next batch
REPLACE INTO row_replace VALUES (1,2,5);
