INSERT INTO refused_inet4 VALUES (1,'127.0.0.1');
