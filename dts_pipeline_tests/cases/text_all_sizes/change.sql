INSERT INTO text_all_sizes VALUES (1,REPEAT('a',255),REPEAT('b',65535),REPEAT('é',70000),REPEAT('😀',50000),REPEAT(0xFF,255),REPEAT(0x00,65535),REPEAT(0x0102,50000),REPEAT(0xFE,200000)),(2,'','','','','','','','');
-- next batch
UPDATE text_all_sizes SET a='', d=REPEAT('x',100000), h=0x00 WHERE id=1;
