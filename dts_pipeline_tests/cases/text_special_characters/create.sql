CREATE TABLE text_special_characters (id INT PRIMARY KEY, v VARCHAR(200), t TEXT);
