CREATE TABLE json_partial_update (id INT PRIMARY KEY, j JSON);
INSERT INTO json_partial_update VALUES (1,'{"a": 1, "b": [1, 2, 3]}');
