-- Which protocols each type of device speaks as a client, by share of its flows
SELECT client_type AS type, protocol, sum(flows) AS flows,
    round(flows / sum(flows) OVER (PARTITION BY client_type), 3) AS share
FROM v_pairs
WHERE client_type != ''
GROUP BY client_type, protocol
ORDER BY type, flows DESC, protocol
