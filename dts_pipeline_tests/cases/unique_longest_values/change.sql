BEGIN;
UPDATE unique_longest_values SET u='tmp', b='tmp' WHERE id=1;
UPDATE unique_longest_values SET u=REPEAT('é',700), b=REPEAT(0xFE,3000) WHERE id=2;
COMMIT;
-- next batch
UPDATE unique_longest_values SET u=CONCAT(REPEAT('é',699),'x'), b=CONCAT(REPEAT(0xFE,2999),0x00) WHERE id=1;
