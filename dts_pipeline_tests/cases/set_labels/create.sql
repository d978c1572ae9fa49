CREATE TABLE set_labels (id INT PRIMARY KEY, s SET('a','b\\c','q''q','x y','é'), n SET('1','2','4') NOT NULL);
INSERT INTO set_labels VALUES (9,'a','1');
