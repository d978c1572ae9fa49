UPDATE text_unicode_collation SET v='Á' WHERE id=1;
UPDATE text_unicode_collation SET v='ß' WHERE id=2;
