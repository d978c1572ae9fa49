UPDATE json_partial_update SET j=JSON_SET(j,'$.a',2) WHERE id=1;
-- next batch
UPDATE json_partial_update SET j=JSON_REMOVE(j,'$.b[0]') WHERE id=1;
