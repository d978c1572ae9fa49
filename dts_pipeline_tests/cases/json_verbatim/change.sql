INSERT INTO json_verbatim VALUES (1,'{"b" :1,  "a":2, "b": 3}'),(2,' [1 ,2]'),(3,'1.50'),(4,'1e2'),(5,'{"a":"\\u00e9"}');
UPDATE json_verbatim SET j='{"a": 1}' WHERE id=9;
-- next batch
UPDATE json_verbatim SET j='1.5' WHERE id=3;
