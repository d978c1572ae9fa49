CREATE TABLE key_unicode (k VARCHAR(30) COLLATE utf8mb4_bin PRIMARY KEY, v INT);
INSERT INTO key_unicode VALUES ('😀',1),('é',2),('é',3);
