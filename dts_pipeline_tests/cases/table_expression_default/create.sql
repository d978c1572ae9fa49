CREATE TABLE table_expression_default (id INT PRIMARY KEY, j VARCHAR(40) DEFAULT (UUID()), n INT DEFAULT (1 + 1), t TEXT DEFAULT ('x'));
