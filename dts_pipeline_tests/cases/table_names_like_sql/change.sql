INSERT INTO table_names_like_sql VALUES ('''; DROP TABLE table_names_like_sql__canary; -- ','`; DROP TABLE table_names_like_sql__canary; -- ',1,2,3,4,5),(''' OR ''1''=''1','"',1,2,3,4,5),('\\'' OR 1=1 -- ','\\',1,2,3,4,5),('*/ DELETE FROM table_names_like_sql__canary /*','/* dts link=x batch=1 */',1,2,3,4,5),('%','%s %(x)s {0} :p ?',1,2,3,4,5),('_','\\N	x',1,2,3,4,5),('\\','\0\n\r\Z',1,2,3,4,5);
INSERT INTO `table_names_like_sql__'; DROP TABLE x; -- y` VALUES (1,1),(2,2);
INSERT INTO `table_names_like_sql__``; DROP TABLE x; -- z` VALUES (1,1),(2,2);
INSERT INTO `table_names_like_sql__*/ x /*` VALUES (1,1),(2,2);
INSERT INTO `table_names_like_sql__\' OR 1=1 #w` VALUES (1,1),(2,2);
-- next batch
UPDATE table_names_like_sql SET `v``, (SELECT 1)) -- c`=CONCAT(`v``, (SELECT 1)) -- c`,''' x'), `*/ DROP TABLE x /*`=7, `\`=8;
DELETE FROM table_names_like_sql WHERE `id'; DROP TABLE x; --` IN ('%','_');
UPDATE table_names_like_sql SET `id'; DROP TABLE x; --`='''; SELECT 2; -- ' WHERE `id'; DROP TABLE x; --`='\\';
UPDATE `table_names_like_sql__'; DROP TABLE x; -- y` SET id=id+5;
UPDATE `table_names_like_sql__``; DROP TABLE x; -- z` SET v=v+1 ORDER BY v DESC;
DELETE FROM `table_names_like_sql__*/ x /*` WHERE id=1;
UPDATE `table_names_like_sql__\' OR 1=1 #w` SET v=NULL;
