UPDATE unique_case SET u='A' WHERE id=1;
UPDATE unique_case SET u='c' WHERE id=2;
UPDATE unique_case SET id=9 WHERE id=1;
INSERT INTO unique_case VALUES (1,'B');
