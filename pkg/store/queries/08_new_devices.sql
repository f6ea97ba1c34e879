-- Devices seen for the first time in the last day
SELECT first_seen, device_id, site, category, type, manufacturer, macs, ips, hostnames
FROM v_devices
WHERE first_seen >= now() - INTERVAL 1 DAY
ORDER BY first_seen DESC, device_id
