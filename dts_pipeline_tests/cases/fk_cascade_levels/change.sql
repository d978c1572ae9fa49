DELETE FROM fk_cascade_levels__parent WHERE id=1;
