SELECT COUNT(*) = 2 FROM fk_cascade_unique_column__child WHERE code='uno';
SELECT COUNT(*) = 2 FROM fk_cascade_unique_column__child WHERE code IS NULL;
