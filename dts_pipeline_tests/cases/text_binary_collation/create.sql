CREATE TABLE text_binary_collation (id INT PRIMARY KEY, v VARCHAR(20) COLLATE utf8mb4_bin, c CHAR(8) CHARACTER SET latin1 COLLATE latin1_bin);
