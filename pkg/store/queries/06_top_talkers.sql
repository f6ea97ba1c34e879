-- Who moved the most bytes in the last day
SELECT device_id, category, type, sum(bytes_out) AS bytes_out, sum(bytes_in) AS bytes_in, sum(flows) AS flows
FROM v_activity
WHERE hour >= now() - INTERVAL 1 DAY
GROUP BY device_id, category, type
ORDER BY bytes_out + bytes_in DESC, device_id
LIMIT 20
