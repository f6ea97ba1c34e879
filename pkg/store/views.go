package store

import "strings"

// Expressions that turn a stored form into the text of the contract.

func hexID(x string) string {
	return "nullIf(lower(hex(" + x + ")), '00000000000000000000000000000000')"
}

// ipText prints mapped IPv4 as IPv4. The dot tells it from addresses such as
// ::ffff:5, which are IPv6.
func ipText(x string) string {
	s := "IPv6NumToString(" + x + ")"
	return "if(startsWith(" + s + ", '::ffff:') AND (position(" + s + ", '.') > 0), substring(" + s + ", 8), " + s + ")"
}

func macText(x string) string { return "if(" + x + " = 0, '', lower(MACNumToString(" + x + ")))" }
func vlanNull(x string) string {
	return "nullIf(" + x + ", 0)"
}

func timeNull(x string) string { return "nullIf(" + x + ", toDateTime64(0, 9, 'UTC'))" }

func listText(x string) string {
	return "if(" + x + " = '', [], splitByChar(',', toString(" + x + ")))"
}

func communityText(x string) string {
	return "if(" + x + " = toFixedString('', 20), '', concat('1:', base64Encode(" + x + ")))"
}

// known maps every id that a device has or had to the device as it stands. An id
// that one device gave up and another took as alias belongs to the latter.
const known = `(SELECT id, argMax((device_id, category, type, manufacturer, model, location), is_alias) AS d
    FROM (SELECT arrayJoin(arrayPushBack(aliases, device_id)) AS id, device_id, category, type, manufacturer, model, location, id != device_id AS is_alias
        FROM $db.devices FINAL WHERE NOT deleted)
    GROUP BY id)`

// bound is who an endpoint was, from when on; the first binding also holds for
// the time before it, since what it rests on was seen before it was made.
const bound = `(SELECT endpoint, if(n = 1, toDateTime64(0, 9, 'UTC'), valid_from) AS since,
        if(k.id = b.1, k.d.1, b.1) AS device, if(k.d.2 != '', k.d.2, b.2) AS category, if(k.d.3 != '', k.d.3, b.3) AS type
    FROM (SELECT endpoint, valid_from, row_number() OVER (PARTITION BY endpoint ORDER BY valid_from ASC) AS n,
            argMax((device_id, toString(category), toString(type)), (topic_generation, kafka_offset, kafka_index)) AS b
        FROM $db.bindings GROUP BY endpoint, valid_from) AS h
    $global LEFT ANY JOIN ` + known + ` AS k ON k.id = h.b.1)`

// flowsSelect is v_flows over $flows: the table, or a selection of it.
var flowsSelect = `SELECT
    ` + hexID("f.flow_id") + ` AS flow_id, f.part AS part, f.final AS final, f.site AS site, f.sensor AS sensor, f.start AS start, f.end AS end, f.transport AS transport,
    ` + ipText("f.src_ip") + ` AS src_ip, f.src_port AS src_port, ` + macText("f.src_mac") + ` AS src_mac,
    f.src_packets AS src_packets, f.src_bytes AS src_bytes, f.src_payload_bytes AS src_payload_bytes,
    ` + ipText("f.dst_ip") + ` AS dst_ip, f.dst_port AS dst_port, ` + macText("f.dst_mac") + ` AS dst_mac,
    f.dst_packets AS dst_packets, f.dst_bytes AS dst_bytes, f.dst_payload_bytes AS dst_payload_bytes,
    ` + vlanNull("f.vlan") + ` AS vlan, ` + vlanNull("f.vlan_inner") + ` AS vlan_inner, ` + listText("f.tunnel") + ` AS tunnel,
    f.state AS state, f.protocol AS protocol, f.protocol_by AS protocol_by, ` + listText("f.protocol_inner") + ` AS protocol_inner,
    ` + communityText("f.community_id") + ` AS community_id, ` + hexID("s.device") + ` AS src_device, ` + hexID("d.device") + ` AS dst_device,
    f.duplicate_of_sensor AS duplicate_of_sensor,
    ` + hexID("f.src_endpoint") + ` AS src_endpoint, ` + hexID("f.dst_endpoint") + ` AS dst_endpoint, f.src_inside AS src_inside, f.dst_inside AS dst_inside,
    f.src_retransmits AS src_retransmits, f.dst_retransmits AS dst_retransmits, f.src_resets AS src_resets, f.dst_resets AS dst_resets,
    f.src_zero_windows AS src_zero_windows, f.dst_zero_windows AS dst_zero_windows, nullIf(f.src_rtt_ms, 0) AS src_rtt_ms, nullIf(f.dst_rtt_ms, 0) AS dst_rtt_ms,
    f.first_payload AS first_payload, ` + listText("f.path") + ` AS path, 
    f.src_messages AS src_messages, ` + timeNull("f.src_message_first") + ` AS src_message_first, ` + timeNull("f.src_message_last") + ` AS src_message_last,
    f.src_message_gap_ms AS src_message_gap_ms, f.src_message_bytes AS src_message_bytes,
    f.dst_messages AS dst_messages, ` + timeNull("f.dst_message_first") + ` AS dst_message_first, ` + timeNull("f.dst_message_last") + ` AS dst_message_last,
    f.dst_message_gap_ms AS dst_message_gap_ms, f.dst_message_bytes AS dst_message_bytes,
    s.category AS src_category, s.type AS src_type, d.category AS dst_category, d.type AS dst_type, f.time_clamped AS time_clamped, f.kafka_time AS kafka_time, f.clock_offset_ms AS clock_offset_ms
FROM $flows AS f
$global ASOF LEFT JOIN ` + bound + ` AS s ON f.src_endpoint = s.endpoint AND f.start >= s.since
$global ASOF LEFT JOIN ` + bound + ` AS d ON f.dst_endpoint = d.endpoint AND f.start >= d.since`

var observationsSelect = `SELECT
    o.time AS time, ` + hexID("o.observation_id") + ` AS observation_id, o.site AS site, o.sensor AS sensor, ` + hexID("o.flow_id") + ` AS flow_id,
    ` + hexID("b.device") + ` AS device, o.protocol AS protocol, o.kind AS kind, o.attributes AS attributes, ` + hexID("o.endpoint") + ` AS endpoint,
    if(o.ip = toIPv6('::'), '', ` + ipText("o.ip") + `) AS ip, ` + macText("o.mac") + ` AS mac, ` + vlanNull("o.vlan") + ` AS vlan,
    ` + hexID("o.gateway") + ` AS gateway, ` + hexID("o.peer") + ` AS peer, b.category AS category, b.type AS type, o.kafka_time AS kafka_time,
    o.duplicate_of_sensor AS duplicate_of_sensor, o.clock_offset_ms AS clock_offset_ms
FROM $db.observations AS o
$global ASOF LEFT JOIN ` + bound + ` AS b ON o.endpoint = b.endpoint AND o.time >= b.since`

var pairsSelect = `SELECT
    p.site AS site, p.hour AS hour, ` + hexID("c.device") + ` AS client_device, c.category AS client_category, c.type AS client_type, ` + ipText("p.client_ip") + ` AS client_ip,
    ` + hexID("s.device") + ` AS server_device, s.category AS server_category, s.type AS server_type, ` + ipText("p.peer_ip") + ` AS server_ip,
    p.transport AS transport, p.port AS port, p.protocol AS protocol, p.flows AS flows, p.src_packets AS src_packets, p.src_bytes AS src_bytes,
    p.dst_packets AS dst_packets, p.dst_bytes AS dst_bytes, p.first AS first, p.last AS last,
    ` + hexID("p.endpoint") + ` AS client_endpoint, ` + hexID("p.peer_id") + ` AS server_endpoint, ` + vlanNull("p.vlan") + ` AS vlan, p.country AS country, nullIf(p.asn, 0) AS asn, p.as_name AS as_name
FROM (SELECT * FROM $db.pairs_hourly FINAL) AS p
$global ASOF LEFT JOIN ` + bound + ` AS c ON p.endpoint = c.endpoint AND p.last >= c.since
$global ASOF LEFT JOIN ` + bound + ` AS s ON p.peer_id = s.endpoint AND p.last >= s.since`

var activitySelect = `SELECT
    a.site AS site, a.hour AS hour, ` + hexID("b.device") + ` AS device_id, b.category AS category, b.type AS type, ` + hexID("a.endpoint") + ` AS endpoint,
    a.flows AS flows, a.packets_out AS packets_out, a.bytes_out AS bytes_out, a.packets_in AS packets_in, a.bytes_in AS bytes_in, a.first AS first, a.last AS last
FROM (SELECT * FROM $db.activity_hourly FINAL) AS a
$global ASOF LEFT JOIN ` + bound + ` AS b ON a.endpoint = b.endpoint AND a.last >= b.since`

var bindingsSelect = `SELECT
    ` + hexID("endpoint") + ` AS endpoint, ` + hexID("device") + ` AS device_id, category, type, since AS valid_from,
    nullIf(leadInFrame(since, 1, toDateTime64(0, 9, 'UTC')) OVER (PARTITION BY endpoint ORDER BY since ASC ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING), toDateTime64(0, 9, 'UTC')) AS valid_to
FROM ` + bound

const latestRisk = `(SELECT device_id, argMax((score, tier, time), (topic_generation, version, kafka_offset)) AS r FROM $db.risk GROUP BY device_id)`

// standing are the devices as they stand: an id that another has as alias is none.
const standing = `(SELECT * FROM $db.devices FINAL
    WHERE NOT deleted AND device_id $global NOT IN (SELECT arrayJoin(aliases) FROM $db.devices FINAL WHERE NOT deleted))`

var devicesSelect = `SELECT
    ` + hexID("d.device_id") + ` AS device_id, arrayMap(a -> lower(hex(a)), d.aliases) AS aliases, d.site AS site, d.macs AS macs, d.ips AS ips, d.hostnames AS hostnames, d.ae_titles AS ae_titles,
    ` + hexID("if(g.id = d.gateway, g.device_id, d.gateway)") + ` AS gateway, d.category AS category, d.type AS type, d.manufacturer AS manufacturer, d.model AS model, d.os AS os, d.os_version AS os_version,
    d.hardware_version AS hardware_version, d.software_version AS software_version, d.serial AS serial, d.location AS location, d.type_confidence AS type_confidence,
    d.first_seen AS first_seen, d.last_seen AS last_seen, d.last_state AS last_state, arrayMap(e -> lower(hex(e)), d.endpoints) AS endpoints,
    if(r.r.2 = '', NULL, r.r.1) AS score, r.r.2 AS tier, d.record AS record, d.human AS human, d.conflicts AS conflicts,
    d.building AS building, d.floor AS floor, d.department AS department, d.room AS room, d.place_source AS place_source,
    d.life_state AS life_state, if(d.life_state = '', NULL, d.life_since) AS life_since, toDate32OrNull(d.end_of_support) AS end_of_support
FROM ` + standing + ` AS d
$global LEFT ANY JOIN ` + latestRisk + ` AS r ON r.device_id = d.device_id
$global LEFT ANY JOIN (SELECT arrayJoin(aliases) AS id, device_id FROM $db.devices FINAL WHERE NOT deleted) AS g ON g.id = d.gateway`

const device4 = `k.d.2 AS category, k.d.3 AS type, k.d.4 AS manufacturer, k.d.5 AS model, k.d.6 AS location`

// A record names the id that the device had then; the view names the device
// that it has become.
func current(x string) string { return hexID("if(k.id = "+x+", k.d.1, "+x+")") + " AS device_id" }

var detectionsSelect = `SELECT
    e.time AS time, ` + hexID("e.detection_id") + ` AS detection_id, e.rule AS rule, e.title AS title, e.severity AS severity, ` + current("e.device_id") + `,
    e.targets AS targets, e.attack AS attack, e.evidence AS evidence, e.count AS count, e.first AS first, e.last AS last, e.site AS site, ` + hexID("e.endpoint") + ` AS endpoint,
    ` + device4 + `
FROM (SELECT * FROM $db.detections ORDER BY topic_generation DESC, kafka_offset DESC, kafka_index DESC LIMIT 1 BY detection_id) AS e
$global LEFT ANY JOIN ` + known + ` AS k ON k.id = e.device_id`

const factorsType = `'Array(Tuple(name String, value Float64, share Float64, why String, evidence Array(String)))'`

var riskColumns = `x.time AS time, ` + current("x.device_id") + `, x.score AS score, x.tier AS tier, x.likelihood AS likelihood, x.impact AS impact,
    JSONExtract(x.factors, ` + factorsType + `) AS factors, x.framework AS framework, x.version AS version, x.cause AS cause, x.site AS site, ` + hexID("x.endpoint") + ` AS endpoint,
    ` + device4

var riskSelect = `SELECT
    ` + riskColumns + `
FROM (SELECT * FROM $db.risk ORDER BY topic_generation DESC, version DESC, kafka_offset DESC LIMIT 1 BY device_id) AS x
$global LEFT ANY JOIN ` + known + ` AS k ON k.id = x.device_id
WHERE (k.id != x.device_id) OR (k.d.1 = x.device_id)`

var riskHistorySelect = `SELECT
    ` + riskColumns + `
FROM $db.risk AS x
$global LEFT ANY JOIN ` + known + ` AS k ON k.id = x.device_id`

// Lines that were withdrawn end where they start.
var usageSelect = `SELECT
    ` + current("u.device_id") + `, u.start AS start, u.end AS end, u.state AS state, u.kind AS kind, u.outcome AS outcome, u.how AS how, u.confidence AS confidence, u.site AS site,
    ` + device4 + `, u.method AS method
FROM (SELECT * FROM $db.usage FINAL WHERE "end" > start) AS u
$global LEFT ANY JOIN ` + known + ` AS k ON k.id = u.device_id`

var findingsSelect = `SELECT
    ` + current("f.device_id") + `, f.vulnerability AS vulnerability, f.advisory AS advisory, f.status AS status, f.why AS why, f.cvss_vector AS cvss_vector, f.cvss_score AS cvss_score,
    f.epss AS epss, f.known_exploited AS known_exploited, f.source AS source, f.site AS site,
    ` + device4 + `
FROM (SELECT * FROM $db.findings FINAL) AS f
$global LEFT ANY JOIN ` + known + ` AS k ON k.id = f.device_id`

// doc reads "name: comment" lines.
func doc(text string) []Column {
	var cols []Column
	for line := range strings.Lines(text) {
		if name, comment, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			cols = append(cols, Column{Name: name, Comment: comment})
		}
	}
	return cols
}
