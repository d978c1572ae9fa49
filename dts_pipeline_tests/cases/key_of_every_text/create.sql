CREATE TABLE key_of_every_text (k VARCHAR(20) COLLATE utf8mb4_unicode_ci PRIMARY KEY, v INT);
INSERT INTO key_of_every_text VALUES ('ss',1),('oe',2),('i',3),('ﬁ',4);
