DELETE FROM fk_cascade_composite__parent WHERE a=1 AND b='x';
UPDATE fk_cascade_composite__parent SET b='z' WHERE a=1 AND b='y';
