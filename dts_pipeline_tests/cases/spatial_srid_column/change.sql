INSERT INTO spatial_srid_column VALUES (1,ST_GeomFromText('POINT(80 170)',4326)),(2,ST_GeomFromText('POINT(-80 -170)',4326));
-- next batch
UPDATE spatial_srid_column SET p=ST_GeomFromText('POINT(0 0)',4326) WHERE id=1;
