SELECT GROUP_CONCAT(id ORDER BY id) = '10,11,13' FROM fk_cascade_child_again__child;
