INSERT INTO refused_no_key VALUES (1);
