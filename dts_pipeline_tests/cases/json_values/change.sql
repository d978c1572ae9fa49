INSERT INTO json_values VALUES (1,'{"a": {"b": [1, 2, {"c": null}]}, "é": "😀"}'),(2,'[]'),(3,'{}'),(4,'null'),(5,NULL),(6,'"text"'),(7,'true'),(8,'12345678901234567'),(9,'18446744073709551615'),(10,'-9223372036854775808'),(11,'"\\u0000 \\" \\\\ \\n"'),(12,'[[[[[[[[1]]]]]]]]'),(13,'{"": ""}');
UPDATE json_values SET j='null' WHERE id=50;
-- next batch
UPDATE json_values SET j=NULL WHERE id=4;
UPDATE json_values SET j='null' WHERE id=5;
UPDATE json_values SET j='{"a": {"b": []}}' WHERE id=1;
