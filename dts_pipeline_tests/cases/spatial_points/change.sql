INSERT INTO spatial_points VALUES (1,ST_GeomFromText('POINT(1 2)'),ST_GeomFromText('POINT(-1.5 2e10)')),(2,NULL,ST_GeomFromText('POINT(0 0)')),(3,ST_GeomFromText('POINT(10 20)',4326),ST_GeomFromText('POINT(80 -17)',4326));
-- next batch
UPDATE spatial_points SET p=ST_GeomFromText('POINT(3 4)') WHERE id=2;
