-- Detections of the last seven days by rule and severity
SELECT rule, severity, count() AS detections, uniqExact(device_id) AS devices, max(time) AS latest
FROM v_detections
WHERE time >= now() - INTERVAL 7 DAY
GROUP BY rule, severity
ORDER BY detections DESC, rule, severity
