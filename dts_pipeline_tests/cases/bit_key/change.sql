INSERT INTO bit_key VALUES (0,0),(1,1),(256,2),(2048,3);
DELETE FROM bit_key WHERE k=b'111111111111';
-- next batch
UPDATE bit_key SET v=9 WHERE k=256;
UPDATE bit_key SET k=255 WHERE k=1;
