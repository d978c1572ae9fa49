INSERT INTO text_synonyms VALUES (1,'é','中','ab','lång',0x00FF,'é😀',0xFF,'x',REPEAT(0x80,69999)),(2,'','','','','','','','','');
-- next batch
UPDATE text_synonyms SET a='a ', d=NULL, i=0x00 WHERE id=1;
