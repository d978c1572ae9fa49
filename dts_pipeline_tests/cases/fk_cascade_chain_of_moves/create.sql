CREATE TABLE fk_cascade_chain_of_moves__parent (id INT PRIMARY KEY, v INT);
CREATE TABLE fk_cascade_chain_of_moves__child (id INT PRIMARY KEY, p INT, v INT, at TIMESTAMP(6) NOT NULL DEFAULT '2020-01-01' ON UPDATE CURRENT_TIMESTAMP(6), UNIQUE KEY (p), FOREIGN KEY (p) REFERENCES fk_cascade_chain_of_moves__parent (id) ON UPDATE CASCADE ON DELETE CASCADE);
INSERT INTO fk_cascade_chain_of_moves__parent VALUES (1,1),(2,2),(5,5),(6,6),(8,8);
INSERT INTO fk_cascade_chain_of_moves__child (id,p,v) VALUES (10,1,1),(20,2,2),(50,5,5),(60,6,6),(80,8,8);
