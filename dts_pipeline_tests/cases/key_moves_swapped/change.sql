BEGIN;
UPDATE key_moves_swapped SET id=100 WHERE id=1;
UPDATE key_moves_swapped SET id=1 WHERE id=2;
UPDATE key_moves_swapped SET id=2 WHERE id=100;
COMMIT;
-- next batch
UPDATE key_moves_swapped SET id=id+1 ORDER BY id DESC;
