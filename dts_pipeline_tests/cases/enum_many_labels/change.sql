INSERT INTO enum_many_labels VALUES (1,'label 0'),(2,'label 255'),(3,'label 256'),(4,'label 299');
