INSERT INTO text_combining VALUES (1,'é'),(2,'é'),(3,'Å'),(4,'Å'),(5,'ẛ̣'),(6,'​‍﻿'),(7,'‮abc');
UPDATE text_combining SET v='é' WHERE id=9;
