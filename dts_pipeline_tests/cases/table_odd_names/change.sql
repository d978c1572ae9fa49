INSERT INTO `table_odd_names__a b` VALUES (2,2);
UPDATE `table_odd_names__größe` SET v=2;
INSERT INTO `table_odd_names__back``tick` VALUES (1,1);
INSERT INTO `table_odd_names__$x-y` VALUES (1,1);
INSERT INTO `table_odd_names__%s` VALUES (1,1);
-- next batch
DELETE FROM `table_odd_names__a b` WHERE id=1;
UPDATE `table_odd_names__$x-y` SET id=5;
UPDATE `table_odd_names__%s` SET v=NULL;
UPDATE `table_odd_names__back``tick` SET v=7;
