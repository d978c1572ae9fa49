UPDATE unique_chain SET u='e' WHERE id=4;
UPDATE unique_chain SET u='d' WHERE id=3;
UPDATE unique_chain SET u='c' WHERE id=2;
UPDATE unique_chain SET u='b' WHERE id=1;
INSERT INTO unique_chain VALUES (5,'a');
-- next batch
UPDATE unique_chain SET u='z' WHERE id=5;
UPDATE unique_chain SET u='a' WHERE id=1;
