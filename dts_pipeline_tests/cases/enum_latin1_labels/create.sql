CREATE TABLE enum_latin1_labels (id INT PRIMARY KEY, e ENUM('é','ü','x') CHARACTER SET latin1, s SET('ä','ö') CHARACTER SET latin1);
