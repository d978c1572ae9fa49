INSERT INTO refused_inet6 VALUES (1,'::1');
