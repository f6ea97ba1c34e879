-- Connections that nobody answered or that were refused, in the last hour
SELECT src_device, src_type, src_ip, dst_ip, dst_port, state, count() AS attempts, min(start) AS first, max(start) AS last
FROM v_flows
WHERE state IN ('S0', 'REJ', 'RSTOS0') AND start >= now() - INTERVAL 1 HOUR AND duplicate_of_sensor = ''
GROUP BY src_device, src_type, src_ip, dst_ip, dst_port, state
ORDER BY attempts DESC, src_ip, dst_ip, dst_port
LIMIT 100
