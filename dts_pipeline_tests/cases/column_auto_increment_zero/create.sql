CREATE TABLE column_auto_increment_zero (id INT AUTO_INCREMENT PRIMARY KEY, v INT);
