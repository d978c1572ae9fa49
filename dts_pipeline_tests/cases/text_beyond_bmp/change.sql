INSERT INTO text_beyond_bmp VALUES (1,'😀','👨‍👩‍👧‍👦','𝒳𐍈'),(2,'𠜎','🏴󠁧󠁢󠁥󠁮󠁧󠁿','􏿿'),(3,'é','ä😀ö','😀😀😀');
-- next batch
UPDATE text_beyond_bmp SET c='😁', v='👨‍👩‍👧', t='' WHERE id=1;
