-- Clinical protocols in clear: who sends HL7 or DICOM to whom without TLS
SELECT protocol, client_type, client_ip, server_type, server_ip, port, sum(flows) AS flows, sum(src_bytes + dst_bytes) AS bytes
FROM v_pairs
WHERE protocol IN ('hl7', 'dicom', 'astm', 'poct1a')
GROUP BY protocol, client_type, client_ip, server_type, server_ip, port
ORDER BY bytes DESC, client_ip, server_ip, port
LIMIT 100
