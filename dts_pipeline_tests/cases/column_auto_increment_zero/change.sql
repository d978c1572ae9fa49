SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO';
INSERT INTO column_auto_increment_zero VALUES (0,1),(5,2),(-3,3);
INSERT INTO column_auto_increment_zero (v) VALUES (9);
-- next batch
UPDATE column_auto_increment_zero SET v=8 WHERE id=0;
