DELETE FROM key_case_reinserted WHERE k='a';
INSERT INTO key_case_reinserted VALUES ('A',2);
-- next batch
DELETE FROM key_case_reinserted WHERE k='A';
INSERT INTO key_case_reinserted VALUES ('á',3);
UPDATE key_case_reinserted SET k='X' WHERE k='x';
UPDATE key_case_reinserted SET v=5 WHERE k='x';
