-- Known devices that have sent nothing for a day
SELECT device_id, site, category, type, model, location, last_seen, dateDiff('hour', last_seen, now()) AS silent_h
FROM v_devices
WHERE last_seen < now() - INTERVAL 1 DAY
ORDER BY last_seen, device_id
