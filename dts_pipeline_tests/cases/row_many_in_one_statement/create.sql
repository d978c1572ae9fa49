CREATE TABLE row_many_in_one_statement (id INT PRIMARY KEY, v INT);
