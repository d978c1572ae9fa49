BEGIN;
UPDATE unique_prefix SET u='tmp', t='tt' WHERE id=1;
UPDATE unique_prefix SET u='abcZ', t='xx2' WHERE id=2;
UPDATE unique_prefix SET u='efgZ', t='yy2' WHERE id=1;
COMMIT;
