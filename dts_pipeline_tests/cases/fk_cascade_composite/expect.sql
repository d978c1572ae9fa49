SELECT COUNT(*) = 3 FROM fk_cascade_composite__child;
SELECT COUNT(*) = 1 FROM fk_cascade_composite__child WHERE pa=1 AND pb='z';
SELECT COUNT(*) = 1 FROM fk_cascade_composite__line;
