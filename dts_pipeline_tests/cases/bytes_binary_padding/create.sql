CREATE TABLE bytes_binary_padding (id INT PRIMARY KEY, b BINARY(8), v VARBINARY(10));
INSERT INTO bytes_binary_padding VALUES (9,'a','a');
