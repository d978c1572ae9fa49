INSERT INTO timestamp_on_update (id,v) VALUES (1,1);
UPDATE timestamp_on_update SET v=2 WHERE id=9;
-- next batch
UPDATE timestamp_on_update SET v=3;
UPDATE timestamp_on_update SET v=4, up=up, dt=dt WHERE id=1;
