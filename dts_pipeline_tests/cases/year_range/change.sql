INSERT INTO year_range VALUES (1,1901,2155),(2,0,0),(3,2155,1901),(4,NULL,1970),(5,2026,2000);
-- next batch
UPDATE year_range SET y=0 WHERE id=1;
UPDATE year_range SET y=1999 WHERE id=2;
