CREATE TABLE `table_odd_names__a b` (id INT PRIMARY KEY, v INT);
CREATE TABLE `table_odd_names__größe` (id INT PRIMARY KEY, v INT);
CREATE TABLE `table_odd_names__back``tick` (id INT PRIMARY KEY, v INT);
CREATE TABLE `table_odd_names__$x-y` (id INT PRIMARY KEY, v INT);
CREATE TABLE `table_odd_names__%s` (id INT PRIMARY KEY, v INT);
INSERT INTO `table_odd_names__a b` VALUES (1,1);
INSERT INTO `table_odd_names__größe` VALUES (1,1);
