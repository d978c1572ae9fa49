CREATE TABLE key_float_free_time (t TIME(3), y YEAR, b BIT(1), v INT, PRIMARY KEY (t, y, b));
INSERT INTO key_float_free_time VALUES ('-10:00:00.5',2000,1,1);
