INSERT INTO bytes_char_binary VALUES (1,'ab',0xFF00,0x00FF),(2,0x410000,'','');
