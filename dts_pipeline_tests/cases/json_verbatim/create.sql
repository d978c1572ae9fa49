CREATE TABLE json_verbatim (id INT PRIMARY KEY, j JSON);
INSERT INTO json_verbatim VALUES (9,'{"a":1}');
