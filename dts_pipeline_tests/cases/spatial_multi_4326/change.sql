INSERT INTO spatial_multi_4326 VALUES (1,ST_GeomFromText('POINT(10 20)',4326),ST_GeomFromText('MULTIPOINT(10 20,-30 40)',4326),ST_GeomFromText('MULTILINESTRING((0 0,1 1),(10 20,30 40))',4326),ST_GeomFromText('MULTIPOLYGON(((0 0,10 0,10 10,0 0)),((20 20,30 20,30 30,20 20)))',4326));
-- next batch
UPDATE spatial_multi_4326 SET p=ST_GeomFromText('POINT(1e-9 -89.5)',4326), mp=NULL;
