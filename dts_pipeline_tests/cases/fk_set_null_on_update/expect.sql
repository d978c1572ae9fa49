SELECT COUNT(*) = 3 FROM fk_set_null_on_update__child WHERE code IS NULL;
SELECT COUNT(*) = 1 FROM fk_set_null_on_update__child WHERE code=300;
