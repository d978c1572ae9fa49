SELECT GROUP_CONCAT(id ORDER BY id) = '10,20' FROM fk_cascade_levels_with_events__child;
SELECT GROUP_CONCAT(id ORDER BY id) = '111,200' FROM fk_cascade_levels_with_events__last;
