SELECT COUNT(*) = 1 FROM zero_dates_not_null WHERE id = 1 AND d = '1970-01-01' AND dt = '1970-01-01 00:00:00';
SELECT COUNT(*) = 1 FROM zero_dates_not_null WHERE id = 2 AND d = '2026-01-02' AND dt = '2026-01-02 03:04:05';
