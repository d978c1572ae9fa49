CREATE TABLE key_case_reinserted (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT);
INSERT INTO key_case_reinserted VALUES ('a',1),('x',1);
