UPDATE text_case_only SET v='A', t='A' WHERE id=1;
UPDATE text_case_only SET v='é', t='é' WHERE id=2;
UPDATE text_case_only SET v='a ', t='a ' WHERE id=3;
UPDATE text_case_only SET v='STRASSE' WHERE id=4;
-- next batch
UPDATE text_case_only SET v='a', t='a' WHERE id IN (1,3);
