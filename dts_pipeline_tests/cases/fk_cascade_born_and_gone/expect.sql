SELECT GROUP_CONCAT(id ORDER BY id) = '12,13,14,20' FROM fk_cascade_born_and_gone__child;
