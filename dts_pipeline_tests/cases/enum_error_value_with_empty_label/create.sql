CREATE TABLE enum_error_value_with_empty_label (id INT PRIMARY KEY, e ENUM('a','','b'));
