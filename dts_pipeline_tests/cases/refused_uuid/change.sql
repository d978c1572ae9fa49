INSERT INTO refused_uuid VALUES (1,UUID());
