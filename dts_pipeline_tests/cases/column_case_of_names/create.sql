CREATE TABLE column_case_of_names (Id INT PRIMARY KEY, CamelCase INT, UPPER_CASE VARCHAR(5));
INSERT INTO column_case_of_names VALUES (9,1,'x');
