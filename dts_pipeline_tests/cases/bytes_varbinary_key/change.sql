INSERT INTO bytes_varbinary_key VALUES ('A',3),('',4),(0x00,5),('a ',6),(0xFF,7);
UPDATE bytes_varbinary_key SET v=9 WHERE k='a';
-- next batch
DELETE FROM bytes_varbinary_key WHERE k=0x6100;
UPDATE bytes_varbinary_key SET k=0x0000 WHERE k='';
