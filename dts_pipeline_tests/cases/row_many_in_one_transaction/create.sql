CREATE TABLE row_many_in_one_transaction (id INT PRIMARY KEY, v INT);
CREATE TABLE row_many_in_one_transaction__other (id INT PRIMARY KEY, v INT);
