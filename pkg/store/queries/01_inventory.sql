-- What is connected: devices by category, type and maker
SELECT site, category, type, manufacturer, count() AS devices
FROM v_devices
GROUP BY site, category, type, manufacturer
ORDER BY devices DESC, site, category, type, manufacturer
