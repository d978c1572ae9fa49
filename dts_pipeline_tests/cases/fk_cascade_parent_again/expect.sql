-- REPLACE is a delete and an insert to MariaDB, and takes children along; to MySQL 9.7 an update.
SELECT COUNT(*) = 0 FROM fk_cascade_parent_again__child WHERE p=1;
SELECT COUNT(*) = 3 FROM fk_cascade_parent_again__parent;
