UPDATE fk_cascade_unique_column__parent SET code='uno' WHERE id=1;
UPDATE fk_cascade_unique_column__parent SET n=22 WHERE id=2;
DELETE FROM fk_cascade_unique_column__parent WHERE id=3;
UPDATE fk_cascade_unique_column__parent SET code='Four' WHERE id=4;
