SELECT COUNT(*) FROM table_names_like_sql__canary;
SELECT COUNT(*)=5 FROM table_names_like_sql;
