CREATE TABLE zero_dates_in_part (id INT PRIMARY KEY, d DATE, dt DATETIME, v INT);
