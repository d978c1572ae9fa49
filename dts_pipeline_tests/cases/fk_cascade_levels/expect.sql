SELECT COUNT(*) = 1 FROM fk_cascade_levels__a_grandchild;
SELECT COUNT(*) = 2 FROM fk_cascade_levels__last WHERE g IS NULL;
