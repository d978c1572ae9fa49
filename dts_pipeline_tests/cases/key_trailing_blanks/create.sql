CREATE TABLE key_trailing_blanks (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT);
INSERT INTO key_trailing_blanks VALUES ('a',1);
