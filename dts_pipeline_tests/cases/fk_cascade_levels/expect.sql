-- MySQL 9.7.4 itself leaves the grandchild 110, whose parent is the second child to go.
SELECT COUNT(*) = 0 FROM fk_cascade_levels__a_grandchild WHERE c=10;
SELECT COUNT(*) = 0 FROM fk_cascade_levels__last WHERE g=100;
