INSERT INTO spatial_index VALUES (1,ST_GeomFromText('POINT(80 17)')),(2,ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'));
-- next batch
DELETE FROM spatial_index WHERE id=1;
