INSERT INTO column_auto_increment_large VALUES (18446744073709551614,1),(1,2);
