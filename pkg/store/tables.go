package store

import "slices"

// The names of the tables.
const (
	Flows           = "flows"
	Observations    = "observations"
	PairsHourly     = "pairs_hourly"
	PairsDaily      = "pairs_daily"
	ActivityHourly  = "activity_hourly"
	Bindings        = "bindings"
	Devices         = "devices"
	Detections      = "detections"
	Alerts          = "alerts"
	RiskHistory     = "risk"
	Usage           = "usage"
	Findings        = "findings"
	Deadletters     = "deadletters"
	Edits           = "edits"
	Sensors         = "sensors"
	SensorEvents    = "sensor_events"
	producersTable  = "producers"
	addedTable      = "pairs_added"
	migrationsTable = "schema_migrations"
)

const byDay = "toYYYYMMDD(kafka_time)"

func col(name, typ, codec, comment string) Column {
	return Column{Name: name, Type: typ, Codec: codec, Comment: comment}
}
func idCol(name, comment string) Column { return col(name, "UUID", "ZSTD(1)", comment) }
func wordCol(name, comment string) Column {
	return col(name, "LowCardinality(String)", "ZSTD(1)", comment)
}
func textCol(name, comment string) Column { return col(name, "String", "ZSTD(3)", comment) }
func boolCol(name, comment string) Column { return col(name, "Bool", "ZSTD(1)", comment) }
func ratioCol(name, comment string) Column {
	return col(name, "Float64", "ZSTD(1)", comment)
}

func timeCol(name, comment string) Column {
	return col(name, "DateTime64(9, 'UTC')", "Delta(8), ZSTD(1)", comment)
}

// A counter's high bytes are zero: T64 takes them out before compression.
func countCol(name, comment string) Column { return col(name, "UInt64", "T64, ZSTD(1)", comment) }
func smallCol(name, comment string) Column { return col(name, "UInt32", "T64, ZSTD(1)", comment) }
func rttCol(name, comment string) Column   { return col(name, "Float32", "ZSTD(1)", comment) }
func binsCol(name, comment string) Column {
	return col(name, "Map(UInt32, UInt32)", "ZSTD(1)", comment)
}
func portCol(name, comment string) Column { return col(name, "UInt16", "ZSTD(1)", comment) }
func addrCol(name, comment string) Column { return col(name, "IPv6", "ZSTD(1)", comment) }
func macCol(name, comment string) Column  { return col(name, "UInt64", "ZSTD(1)", comment) }
func listCol(name, comment string) Column {
	return col(name, "Array(String)", "ZSTD(3)", comment)
}

func idsCol(name, comment string) Column { return col(name, "Array(UUID)", "ZSTD(1)", comment) }

// coordinates tell where on Kafka a row came from; every table that the sink
// fills ends in them.
var coordinates = []Column{
	boolCol("time_clamped", "an event time lay outside 2000 to tomorrow and was stored clamped"),
	col("topic_generation", "UInt32", "ZSTD(1)", "generation of the topics; a reshard starts the next"),
	col("kafka_partition", "UInt16", "ZSTD(1)", "partition of the record"),
	col("kafka_offset", "UInt64", "T64, ZSTD(1)", "offset of the record"),
	col("kafka_index", "UInt32", "T64, ZSTD(1)", "position of the event in the record, from 0"),
	col("kafka_time", "DateTime('UTC')", "Delta(4), ZSTD(1)", "timestamp of the record; partitions and retention go by it"),
	wordCol("producer", "who numbered the event"),
	col("seq", "UInt64", "T64, ZSTD(1)", "the producer's number of the event"),
}

// clockOffsetCol tells what a time was before it was set right: the stored one less this.
var clockOffsetCol = col("clock_offset_ms", "Int64", "T64, ZSTD(1)", "added to the times that the sensor told, because its clock was off; 0: it was believed")

var versionCol = col("row_version", "UInt64", "ZSTD(1)", "generation, offset and index in one number: the highest row of a key stands")

// byOffset lets counting a range read only the parts and granules that hold it.
var byOffset = Index{Name: "by_offset", Expr: "kafka_offset", Type: "minmax", Granularity: 1}

func fromKafka(cols ...Column) []Column { return append(slices.Clip(cols), coordinates...) }

// tables is the whole schema.
var tables = []Table{
	{
		Name: Flows, keep: keepRaw, PartitionBy: byDay, OrderBy: "site, src_endpoint, start",
		Comment: "Parts of bidirectional flows as captured, each stored once. Read v_flows for devices, text addresses and hex ids.",
		Indexes: []Index{byOffset, {Name: "by_dst_endpoint", Expr: "dst_endpoint", Type: "bloom_filter(0.02)", Granularity: 4}, {Name: "by_start", Expr: "start", Type: "minmax", Granularity: 1}},
		Columns: fromKafka(
			wordCol("site", "site of the sensor"),
			idCol("src_endpoint", "endpoint that opened the flow; zero for an outside, multicast or broadcast end"),
			timeCol("start", "first packet of this part"),
			timeCol("end", "last packet of this part"),
			idCol("flow_id", "constant over the parts of a flow"),
			col("part", "UInt32", "T64, ZSTD(1)", "counts up from 0; counters are deltas since the part before"),
			boolCol("final", "the flow ended with this part"),
			wordCol("sensor", "sensor that saw it"),
			wordCol("transport", "tcp, udp, icmp, icmp6, sctp, else the IP protocol number"),
			addrCol("src_ip", "address that opened the flow; IPv4 is mapped (::ffff:a.b.c.d)"),
			portCol("src_port", "port; the type for ICMP"),
			macCol("src_mac", "48-bit MAC as a number, 0 for none; MACNumToString() prints it"),
			countCol("src_packets", "packets from src"),
			countCol("src_bytes", "IP bytes from src"),
			countCol("src_payload_bytes", "transport payload bytes from src"),
			addrCol("dst_ip", "the other address"),
			portCol("dst_port", "port; the code for ICMP"),
			macCol("dst_mac", "48-bit MAC as a number, 0 for none"),
			countCol("dst_packets", "packets from dst"),
			countCol("dst_bytes", "IP bytes from dst"),
			countCol("dst_payload_bytes", "transport payload bytes from dst"),
			portCol("vlan", "outermost VLAN tag, 0 for none"),
			portCol("vlan_inner", "second VLAN tag, 0 for none"),
			wordCol("tunnel", "outer headers, outermost first, joined by commas"),
			wordCol("state", "connection state, Zeek's names"),
			wordCol("protocol", "outermost application protocol"),
			wordCol("protocol_by", "content, context or port"),
			wordCol("protocol_inner", "what rides on protocol, joined by commas"),
			col("community_id", "FixedString(20)", "ZSTD(1)", "SHA-1 of Community ID v1; '1:' and base64 of it is the usual text"),
			wordCol("duplicate_of_sensor", "the sensor whose report of this traffic counts, when this one does not; empty: it counts"),
			idCol("dst_endpoint", "the other endpoint; zero for an outside, multicast or broadcast end"),
			boolCol("src_inside", "src is inside the site's networks"),
			boolCol("dst_inside", "dst is inside the site's networks"),
			smallCol("src_retransmits", "TCP segments from src whose numbers it had sent before"),
			smallCol("dst_retransmits", "the same from dst"),
			smallCol("src_resets", "TCP resets from src"),
			smallCol("dst_resets", "TCP resets from dst"),
			smallCol("src_zero_windows", "TCP segments that say that src can take no more"),
			smallCol("dst_zero_windows", "the same of dst"),
			rttCol("src_rtt_ms", "handshake: from the sensor to src and back, in milliseconds, 0 when not known"),
			rttCol("dst_rtt_ms", "handshake: from the sensor to dst and back, in milliseconds, 0 when not known"),
			wordCol("first_payload", "who sent the flow's first payload: src, dst, or empty for none yet"),
			wordCol("path", "what is odd about the packets' way: asymmetric, two_paths, src_nat, dst_nat, joined by commas"),
			smallCol("src_messages", "messages (runs of payload) from src that began, from the flow's eighth on"),
			timeCol("src_message_first", "when the first of them did; 1970 for none"),
			timeCol("src_message_last", "when the last of them did"),
			binsCol("src_message_gap_ms", "milliseconds from one message of src to its next: lower end of a bin, count; sumMap() adds them up"),
			binsCol("src_message_bytes", "payload of the messages from src: lower end of a bin, count"),
			smallCol("dst_messages", "messages from dst"),
			timeCol("dst_message_first", "when the first of them began; 1970 for none"),
			timeCol("dst_message_last", "when the last of them did"),
			binsCol("dst_message_gap_ms", "milliseconds from one message of dst to its next"),
			binsCol("dst_message_bytes", "payload of the messages from dst"),
			clockOffsetCol,
		),
	},
	{
		Name: Observations, keep: keepRaw, PartitionBy: byDay, OrderBy: "site, endpoint, time",
		Comment: "Protocol facts about endpoints, device facts only. Read v_observations.",
		Indexes: []Index{byOffset},
		Columns: fromKafka(
			wordCol("site", "site of the sensor"),
			idCol("endpoint", "whom the fact is about"),
			timeCol("time", "when it was seen"),
			idCol("observation_id", "follows from what the observation says"),
			wordCol("sensor", "sensor that saw it"),
			idCol("flow_id", "flow that carried it; zero outside IP"),
			wordCol("protocol", "protocol that said so"),
			wordCol("kind", "the protocol's own message"),
			textCol("attributes", "JSON object of the facts; JSONExtractString(attributes, 'hostname')"),
			addrCol("ip", "the endpoint's address, :: when unknown"),
			macCol("mac", "48-bit MAC as a number, 0 when unknown"),
			portCol("vlan", "VLAN tag, 0 for none"),
			idCol("gateway", "endpoint that spoke for it, zero for none"),
			idCol("peer", "the other end's endpoint, zero for none"),
			wordCol("duplicate_of_sensor", "the sensor that told the same, when that counts and this does not"),
			clockOffsetCol,
		),
	},
	{
		Name: PairsHourly, keep: keepRollup, PartitionBy: byDay, Version: "row_version",
		OrderBy: "site, endpoint, hour, peer_id, client_ip, peer_ip, transport, port, protocol, vlan",
		Comment: "Who talked to whom, by hour: cumulative rows, the highest row_version of a key stands. Read v_pairs.",
		Indexes: []Index{byOffset, {Name: "by_hour", Expr: "hour", Type: "minmax", Granularity: 1}},
		Columns: fromKafka(
			wordCol("site", "site"),
			idCol("endpoint", "the client's endpoint; zero when it is outside"),
			col("hour", "DateTime('UTC')", "Delta(4), ZSTD(1)", "start of the hour, event time"),
			idCol("peer_id", "the server's endpoint; zero when it is outside"),
			addrCol("client_ip", "the client's address"),
			addrCol("peer_ip", "the server's address"),
			wordCol("transport", "tcp, udp, ..."),
			portCol("port", "the server's port"),
			wordCol("protocol", "application protocol"),
			portCol("vlan", "outermost VLAN tag, 0 for none"),
			countCol("flows", "flows begun"),
			countCol("src_packets", "packets from the client"),
			countCol("src_bytes", "IP bytes from the client"),
			countCol("dst_packets", "packets from the server"),
			countCol("dst_bytes", "IP bytes from the server"),
			timeCol("first", "first packet"),
			timeCol("last", "last packet"),
			versionCol,
			wordCol("country", "country of the end on the Internet when the row was stored, ISO 3166-1 alpha-2; empty: none, or unknown"),
			col("asn", "UInt32", "T64, ZSTD(1)", "autonomous system of that end, 0 for unknown"),
			wordCol("as_name", "name of the autonomous system"),
		),
	},
	pairsDailyTable,
	pairsAddedTable,
	{
		Name: ActivityHourly, keep: keepRollup, PartitionBy: byDay, Version: "row_version", OrderBy: "site, endpoint, hour",
		Comment: "What each endpoint did, by hour: cumulative rows, the highest row_version of a key stands. Read v_activity.",
		Indexes: []Index{byOffset},
		Columns: fromKafka(
			wordCol("site", "site"),
			idCol("endpoint", "endpoint"),
			col("hour", "DateTime('UTC')", "Delta(4), ZSTD(1)", "start of the hour, event time"),
			countCol("flows", "flows as client or server"),
			countCol("packets_out", "packets sent"),
			countCol("bytes_out", "IP bytes sent"),
			countCol("packets_in", "packets received"),
			countCol("bytes_in", "IP bytes received"),
			timeCol("first", "first packet"),
			timeCol("last", "last packet"),
			versionCol,
		),
	},
	{
		Name: Bindings, OrderBy: "endpoint, valid_from, kafka_offset",
		Comment: "Which device an endpoint belonged to, from when on. Read v_bindings for intervals.",
		Indexes: []Index{byOffset},
		Columns: fromKafka(
			idCol("endpoint", "endpoint"),
			timeCol("valid_from", "event time of the change"),
			idCol("device_id", "device from then on; zero when the endpoint was let go"),
			wordCol("site", "site"),
			wordCol("category", "the device's category then"),
			wordCol("type", "the device's type then"),
			wordCol("criticality", "low, medium, high, life_sustaining or empty"),
			wordCol("location", "where it was"),
			idCol("gateway", "endpoint it sits behind, zero for none"),
			countCol("version", "counts up per endpoint"),
		),
	},
	{
		Name: Devices, Version: "row_version", OrderBy: "device_id",
		Comment: "Devices as they stand; the highest row_version of a device stands. Read v_devices.",
		Indexes: []Index{byOffset},
		Columns: fromKafka(
			idCol("device_id", "device"),
			boolCol("deleted", "the device was withdrawn"),
			idsCol("aliases", "ids that were merged into this device"),
			wordCol("site", "site"),
			listCol("macs", "MAC addresses"), listCol("ips", "IP addresses, in order of first use"),
			listCol("hostnames", "host names"), listCol("ae_titles", "DICOM application entity titles"),
			idCol("gateway", "device it sits behind, zero for none"),
			wordCol("category", "medical, ot, iot, it, network, unknown"),
			wordCol("type", "what it is"),
			wordCol("manufacturer", "maker"), wordCol("model", "model"), wordCol("os", "operating system"),
			wordCol("os_version", "its version"), wordCol("hardware_version", "hardware version"),
			wordCol("software_version", "software or firmware version"),
			textCol("serial", "serial number"), wordCol("location", "where it is"),
			ratioCol("type_confidence", "confidence in type, 0 to 1"),
			timeCol("first_seen", "first packet"), timeCol("last_seen", "last packet"),
			wordCol("last_state", "in_use, idle, offline or empty"),
			idsCol("endpoints", "its endpoints"),
			countCol("version", "counts up per device"),
			textCol("record", "the whole device as JSON: confidences, sources, evidence"),
			versionCol,
			listCol("human", "attributes that a person has set or confirmed"),
			listCol("conflicts", "of these, the ones of which traffic says something else"),
			wordCol("building", "where it is, by the context file"), wordCol("floor", "floor"), wordCol("department", "department"), wordCol("room", "room"),
			wordCol("place_source", "what says so: human, switch_port, access_point, a protocol, subnet, vlan, roster; empty for nothing"),
			wordCol("life_state", "online, silent, missing, returned, retired"), timeCol("life_since", "since when, where life_state is known"),
			textCol("life_reason", "why"),
			textCol("end_of_support", "day, empty for not known"),
			textCol("asset", "what the inventory knows of it, JSON object or empty"),
			textCol("life_events", "what has happened in its life, JSON list"),
		),
	},
	{
		Name: Detections, keep: keepRollup, PartitionBy: byDay, OrderBy: "site, device_id, time",
		Comment: "Detections as they were published. Read v_detections.",
		Indexes: []Index{byOffset},
		Columns: fromKafka(
			wordCol("site", "site"),
			idCol("device_id", "the inside device that acted"),
			timeCol("time", "when it was detected"),
			idCol("detection_id", "detection"),
			wordCol("rule", "rule that fired"), textCol("title", "one line for people"),
			wordCol("severity", "info, low, medium, high, critical"),
			listCol("targets", "ids or addresses acted upon"), listCol("attack", "ATT&CK technique ids"),
			textCol("evidence", "JSON object"),
			countCol("count", "how often"),
			timeCol("first", "first event"), timeCol("last", "last event"),
			idCol("endpoint", "the endpoint that acted"),
		),
	},
	{
		Name: Alerts, keep: keepRollup, PartitionBy: byDay, OrderBy: "time, alert_id",
		Comment: "Alerts as sent to SIEMs: OCSF Detection Findings.",
		Indexes: []Index{byOffset},
		Columns: fromKafka(
			timeCol("time", "event time"),
			textCol("alert_id", "finding_info.uid"), textCol("title", "finding_info.title"),
			col("severity_id", "UInt8", "ZSTD(1)", "OCSF severity_id"),
			textCol("record", "the whole finding as JSON"),
		),
	},
	{
		Name: RiskHistory, PartitionBy: "toYYYYMM(kafka_time)", OrderBy: "site, device_id, time",
		Comment: "Risk scores: the first of each device, then every change. Read v_risk (latest) or v_risk_history.",
		Indexes: []Index{byOffset},
		Columns: fromKafka(
			wordCol("site", "site"),
			idCol("device_id", "device"),
			timeCol("time", "when the score changed"),
			ratioCol("score", "0 to 100"), wordCol("tier", "low, medium, high, critical"),
			ratioCol("likelihood", "0 to 1"), ratioCol("impact", "0 to 1"),
			textCol("factors", "JSON array of name, value, share, why, evidence"),
			wordCol("framework", "name of the scoring framework"),
			countCol("version", "counts up per device"),
			textCol("cause", "what changed it"),
			idCol("endpoint", "endpoint of the change"),
		),
	},
	{
		Name: Usage, Version: "row_version", OrderBy: "device_id, start",
		Comment: "When devices were in use, idle, offline. Read v_usage.",
		Indexes: []Index{byOffset},
		Columns: fromKafka(
			idCol("device_id", "device"),
			timeCol("start", "interval"), timeCol("end", "interval"),
			wordCol("site", "site"),
			wordCol("state", "in_use, idle, offline"), wordCol("kind", "exam, infusion, monitoring, test, session or empty"),
			wordCol("outcome", "completed, discontinued, unknown or empty"), wordCol("how", "decoded or inferred"),
			ratioCol("confidence", "0 to 1"), wordCol("method", "activity: in use by an estimate of what cannot be read; else empty"),
			versionCol,
		),
	},
	{
		Name: Findings, Version: "row_version", OrderBy: "device_id, vulnerability, advisory",
		Comment: "Devices and their vulnerabilities; the highest row_version stands.",
		Indexes: []Index{byOffset},
		Columns: fromKafka(
			idCol("device_id", "device"),
			wordCol("vulnerability", "CVE id where there is one"), wordCol("advisory", "the document's id"),
			wordCol("site", "site"),
			wordCol("status", "affected, likely, possible, not_affected, fixed"), textCol("why", "reason"),
			wordCol("cvss_vector", "CVSS vector"), ratioCol("cvss_score", "0 to 10"), ratioCol("epss", "0 to 1"),
			boolCol("known_exploited", "in CISA's catalogue"), wordCol("source", "who published it"),
			versionCol,
		),
	},
	{
		Name: Deadletters, keep: keepRollup, PartitionBy: byDay, OrderBy: "topic, time",
		Comment: "Coordinates and reason of what could not be used, never a payload.",
		Indexes: []Index{byOffset},
		Columns: fromKafka(
			timeCol("time", "arrival"),
			wordCol("topic", "topic of the bad record"),
			col("partition", "Int32", "ZSTD(1)", "its partition"), col("offset", "Int64", "ZSTD(1)", "its offset"),
			col("index", "Int32", "ZSTD(1)", "position in the batch, -1 for the whole record"),
			wordCol("consumer", "who could not use it"), textCol("reason", "why"),
			col("size", "UInt64", "ZSTD(1)", "bytes"),
		),
	},
	editsTable,
	sensorsTable,
	sensorEventsTable,
	{
		Name: producersTable, Version: "kafka_offset", OrderBy: "topic, topic_generation, kafka_partition, producer",
		Comment: "Highest number stored per producer before an offset: where the sink starts after a restart.",
		Columns: []Column{
			wordCol("topic", "topic"),
			col("topic_generation", "UInt32", "", "generation of the topics"),
			col("kafka_partition", "UInt16", "", "partition"),
			textCol("producer", "who numbered the events"),
			col("kafka_offset", "UInt64", "", "holds for all rows before this offset"),
			col("kafka_time", "DateTime('UTC')", "", "record time at that offset"),
			col("seq", "UInt64", "", "highest number"),
		},
	},
	{
		Name: migrationsTable, OrderBy: "time",
		Comment: "Every statement that changed the schema.",
		Columns: []Column{
			col("time", "DateTime64(3, 'UTC')", "", "when"),
			textCol("version", "build that did it"),
			textCol("statement", "what was executed, secrets left out"),
		},
	},
}

// tableNamed gives the description of one of our tables, nil when there is none.
func tableNamed(name string) *Table {
	for i := range tables {
		if tables[i].Name == name {
			return &tables[i]
		}
	}
	return nil
}
