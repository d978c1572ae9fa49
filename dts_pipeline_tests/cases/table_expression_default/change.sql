INSERT INTO table_expression_default (id) VALUES (1);
INSERT INTO table_expression_default VALUES (2,NULL,NULL,NULL);
