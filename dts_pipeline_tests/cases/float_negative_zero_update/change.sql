UPDATE float_negative_zero_update SET d='-0', f='-0' WHERE id=9;
UPDATE float_negative_zero_update SET d=0e0, f=0e0 WHERE id=8;
