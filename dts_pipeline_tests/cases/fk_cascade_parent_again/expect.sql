SELECT GROUP_CONCAT(id ORDER BY id) = '30' FROM fk_cascade_parent_again__child;
SELECT COUNT(*) = 3 FROM fk_cascade_parent_again__parent;
