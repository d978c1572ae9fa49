UPDATE key_case_update SET k='A' WHERE k='a';
UPDATE key_case_update SET k='B', v=9 WHERE k='b';
-- next batch
UPDATE key_case_update SET k='a' WHERE k='A';
UPDATE key_case_update SET k='á' WHERE k='a';
