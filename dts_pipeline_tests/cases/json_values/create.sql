CREATE TABLE json_values (id INT PRIMARY KEY, j JSON);
INSERT INTO json_values VALUES (50,'{"a": 1}');
