INSERT INTO table_fulltext VALUES (2,'other words','there');
UPDATE table_fulltext SET t='words changed' WHERE id=1;
-- next batch
DELETE FROM table_fulltext WHERE id=2;
