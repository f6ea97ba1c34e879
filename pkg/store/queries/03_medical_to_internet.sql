-- Medical devices that talk to the outside: to where, how much, since when
SELECT client_device AS device_id, client_type AS type, server_ip, port, protocol,
    sum(flows) AS flows, sum(src_bytes) AS bytes_out, min(first) AS since, max(last) AS until
FROM v_pairs
WHERE client_category = 'medical' AND server_endpoint IS NULL
GROUP BY device_id, type, server_ip, port, protocol
ORDER BY bytes_out DESC, device_id, server_ip, port, protocol
LIMIT 100
