INSERT INTO bytes_binary_padding VALUES (1,0x0102,0x010200),(2,'',''),(3,0x4142000000000000,0x0000),(4,NULL,NULL),(5,'a ','a '),(6,0xFFFFFFFFFFFFFFFF,0xFF);
-- next batch
UPDATE bytes_binary_padding SET b=0x00, v=0x00 WHERE id=9;
UPDATE bytes_binary_padding SET v=0x0102 WHERE id=1;
