INSERT INTO column_case_of_names VALUES (1,2,'y');
UPDATE column_case_of_names SET camelcase=5 WHERE id=9;
