INSERT INTO enum_error_value_with_empty_label VALUES (1,''),(2,'a'),(3,'b'),(4,NULL);
