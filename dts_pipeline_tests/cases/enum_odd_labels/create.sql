CREATE TABLE enum_odd_labels (id INT PRIMARY KEY, e ENUM('a','x, y','it''s','dq"','b\\c','trail','é',''), d ENUM('1','0','2'));
