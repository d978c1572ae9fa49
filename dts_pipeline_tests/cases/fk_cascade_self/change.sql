DELETE FROM fk_cascade_self WHERE id=2;
