UPDATE key_move_chain SET id=id-1 ORDER BY id;
-- next batch
UPDATE key_move_chain SET id=id+10;
INSERT INTO key_move_chain VALUES (0,9);
