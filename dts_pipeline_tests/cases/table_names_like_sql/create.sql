CREATE TABLE table_names_like_sql (`id'; DROP TABLE x; --` VARCHAR(60) COLLATE utf8mb4_bin PRIMARY KEY, `v``, (SELECT 1)) -- c` VARCHAR(100), `*/ DROP TABLE x /*` INT, `' OR '1'='1` INT, `\` INT, `%(x)s {0} :p ? $1` INT, `"; --` INT) CHARACTER SET utf8mb4;
CREATE TABLE `table_names_like_sql__'; DROP TABLE x; -- y` (id INT PRIMARY KEY, v INT);
CREATE TABLE `table_names_like_sql__``; DROP TABLE x; -- z` (id INT PRIMARY KEY, v INT, UNIQUE KEY `u``; DROP TABLE x; -- k` (v));
CREATE TABLE `table_names_like_sql__*/ x /*` (id INT PRIMARY KEY, v INT);
CREATE TABLE `table_names_like_sql__\' OR 1=1 #w` (id INT PRIMARY KEY, v INT);
CREATE TABLE table_names_like_sql__canary (id INT PRIMARY KEY);
INSERT INTO table_names_like_sql__canary VALUES (1);
