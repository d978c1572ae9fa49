SELECT TIMESTAMPDIFF(HOUR, (SELECT ts FROM timestamp_session_zones WHERE id=1), (SELECT ts FROM timestamp_session_zones WHERE id=2)) = 19;
