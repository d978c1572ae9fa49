CREATE TABLE table_functional_index (id INT PRIMARY KEY, a INT, b VARCHAR(20), KEY ((a + 1)), KEY ((LOWER(b))));
