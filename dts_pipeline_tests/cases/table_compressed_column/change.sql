INSERT INTO table_compressed_column (id,t,u) VALUES (1,REPEAT('x',1000),REPEAT(0x00,1000));
