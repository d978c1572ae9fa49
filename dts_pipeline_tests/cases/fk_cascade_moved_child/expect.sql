SELECT GROUP_CONCAT(id ORDER BY id) = '10' FROM fk_cascade_moved_child__child;
