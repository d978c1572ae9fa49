SELECT GROUP_CONCAT(p ORDER BY id) = '3,9,7,88' FROM fk_cascade_chain_of_moves__child;
SELECT COUNT(*) = 2 FROM fk_cascade_chain_of_moves__child WHERE at = '2020-01-01';
