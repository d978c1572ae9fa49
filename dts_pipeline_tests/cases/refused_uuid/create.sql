CREATE TABLE refused_uuid (id INT PRIMARY KEY, u UUID);
