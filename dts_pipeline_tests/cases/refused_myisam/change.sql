INSERT INTO refused_myisam VALUES (1);
