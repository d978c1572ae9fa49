SELECT COUNT(*) = 2 FROM zero_dates_nullable WHERE d IS NULL AND dt IS NULL;
