CREATE TABLE key_case_update (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT);
INSERT INTO key_case_update VALUES ('a',1),('b',2),('straße',3);
