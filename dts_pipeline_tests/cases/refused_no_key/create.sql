CREATE TABLE refused_no_key (v INT);
