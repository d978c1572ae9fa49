INSERT INTO enum_latin1_labels VALUES (1,'é','ä'),(2,'ü','ä,ö'),(3,'x','');
