SELECT COUNT(*) = 2 FROM zero_dates_in_part WHERE v IN (1, 2);
