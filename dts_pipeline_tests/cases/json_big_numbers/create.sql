CREATE TABLE json_big_numbers (id INT PRIMARY KEY, j JSON);
