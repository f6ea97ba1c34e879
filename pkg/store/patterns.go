package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Who talks to whom, by day. pairs_daily is the sum of pairs_hourly: AddUpPairs makes
// each of its rows anew from all hours of its day whenever one of them has changed, so
// that doing it twice, or by two at a time, changes nothing. Devices are joined when it
// is read: a later merge needs no rewriting.

// pairsDailyTable is ordered by day before endpoint, so that a day of a site is one range.
var pairsDailyTable = Table{
	Name: PairsDaily, keep: keepRollup, PartitionBy: "toYYYYMM(day)", Version: "row_version",
	OrderBy: "site, day, endpoint, peer_id, client_ip, peer_ip, vlan, transport, port, protocol",
	Comment: "Who talked to whom, by day: sums of pairs_hourly, the highest row_version of a key stands. Read v_patterns.",
	Indexes: []Index{{Name: "by_peer", Expr: "peer_id", Type: "bloom_filter(0.02)", Granularity: 4}},
	Columns: []Column{
		wordCol("site", "site"),
		col("day", "Date", "Delta(2), ZSTD(1)", "day of the hours, UTC"),
		idCol("endpoint", "the client's endpoint; zero when it is outside"),
		idCol("peer_id", "the server's endpoint; zero when it is outside"),
		addrCol("client_ip", "the client's address"),
		addrCol("peer_ip", "the server's address"),
		portCol("vlan", "outermost VLAN tag, 0 for none"),
		wordCol("transport", "tcp, udp, ..."),
		portCol("port", "the server's port"),
		wordCol("protocol", "application protocol"),
		wordCol("direction", "inside, multicast, to_internet, from_internet, to_elsewhere or from_elsewhere"),
		wordCol("country", "country of the end on the Internet, as last known that day; empty: none, or unknown"),
		col("asn", "UInt32", "T64, ZSTD(1)", "autonomous system of that end, 0 for unknown"),
		wordCol("as_name", "name of the autonomous system"),
		countCol("flows", "flows begun"),
		countCol("src_packets", "packets from the client"),
		countCol("src_bytes", "IP bytes from the client"),
		countCol("dst_packets", "packets from the server"),
		countCol("dst_bytes", "IP bytes from the server"),
		col("hours", "UInt8", "ZSTD(1)", "hours of the day in which they talked"),
		timeCol("first", "first packet"),
		timeCol("last", "last packet"),
		col("kafka_time", "DateTime('UTC')", "Delta(4), ZSTD(1)", "timestamp of the latest record that it is made of; retention goes by it"),
		versionCol,
	},
}

var pairsAddedTable = Table{
	Name: addedTable, Version: "kafka_offset", OrderBy: "topic_generation, kafka_partition",
	Comment: "Up to which offset pairs_hourly has been added up into pairs_daily.",
	Columns: []Column{
		col("topic_generation", "UInt32", "", "generation of the topics"),
		col("kafka_partition", "UInt16", "", "partition"),
		col("kafka_offset", "UInt64", "", "all rows before it have been added up"),
	},
}

// directionOf says where a conversation goes: between two ends of the site, or whose end is not.
var directionOf = `multiIf((endpoint != ` + zeroID + `) AND (peer_id != ` + zeroID + `), 'inside',
        (peer_ip >= toIPv6('ff00::')) OR ` + mapped("peer_ip", "::ffff:224.0.0.0", "::ffff:255.255.255.255") + `, 'multicast', peer_id = ` + zeroID + `, if(` + private("peer_ip") + `, 'to_elsewhere', 'to_internet'),
        if(` + private("client_ip") + `, 'from_elsewhere', 'from_internet'))`

// dailySelect adds up the hours of $day where $changed is true of one of them. The
// endpoints that have such an hour are looked for first, and read by the table's order.
var dailySelect = `SELECT site, toDate(hour) AS day, endpoint, peer_id, client_ip, peer_ip, vlan, transport, port, protocol,
    ` + directionOf + ` AS direction, argMaxIf(p.country, p.hour, p.country != ''), argMaxIf(p.asn, p.hour, p.asn != 0), argMaxIf(p.as_name, p.hour, p.as_name != ''),
    sum(p.flows), sum(p.src_packets), sum(p.src_bytes), sum(p.dst_packets), sum(p.dst_bytes), toUInt8(count()), min(p.first), max(p.last), max(p.kafka_time), max(p.row_version)
FROM $pairs AS p FINAL
WHERE ($day) AND ((site, endpoint) IN (SELECT site, endpoint FROM $pairs WHERE ($day) AND ($changed)))
GROUP BY site, day, endpoint, peer_id, client_ip, peer_ip, vlan, transport, port, protocol
HAVING countIf($changed) > 0`

// AddUpPairs brings pairs_daily up to what pairs_hourly has. stored tells for each
// partition before which offset all rows are in pairs_hourly for good. It gives how many
// days it has made anew.
//
// Where it is stopped in between, nothing is noted as done, and the next call does it
// again. Rows that are inserted while it works are in or not; they lie behind the noted
// offset, so the next call looks at them.
func (s *Store) AddUpPairs(ctx context.Context, generation uint32, stored map[int32]int64) (days int, err error) {
	shards := map[int]map[int32]int64{}
	for p, to := range stored {
		at := int(p) % len(s.shards)
		if shards[at] == nil {
			shards[at] = map[int32]int64{}
		}
		shards[at][p] = to
	}
	for at, parts := range shards {
		a := adder{s: s, ctx: s.counting(ctx), shard: at, generation: generation, to: parts}
		n, err := a.run()
		days += n
		if err != nil {
			return days, fmt.Errorf("add up pairs by day: %w", err)
		}
	}
	return days, nil
}

// adder adds up on one shard.
type adder struct {
	s          *Store
	ctx        context.Context
	shard      int
	generation uint32
	to         map[int32]int64
	from       map[int32]int64 // of the partitions that have something new
}

func (a *adder) run() (int, error) {
	if err := a.marks(); err != nil || len(a.from) == 0 {
		return 0, err
	}
	days, err := a.days()
	if err != nil {
		return 0, err
	}
	for i, day := range days {
		if err := a.day(day); err != nil {
			return i, err
		}
	}
	return len(days), a.note()
}

// marks reads what has been added up; what is left in from has something new.
func (a *adder) marks() error {
	a.from = map[int32]int64{}
	for p, to := range a.to {
		if to > 0 {
			a.from[p] = 0
		}
	}
	rows, err := a.s.shards[a.shard].Query(a.ctx, "SELECT kafka_partition, max(kafka_offset) FROM "+a.s.rowsOf(addedTable)+" WHERE topic_generation = ? GROUP BY kafka_partition", a.generation)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var p uint16
		var offset uint64
		if err := rows.Scan(&p, &offset); err != nil {
			return err
		}
		if _, mine := a.from[int32(p)]; mine {
			a.from[int32(p)] = int64(offset)
		}
	}
	for p, from := range a.from {
		if from >= a.to[p] {
			delete(a.from, p)
		}
	}
	return rows.Err()
}

// changed says which rows have come since. The lowest offset of all goes before, for
// the index over offsets: it leaves all older parts unread.
func (a *adder) changed() string {
	var parts, from []string
	for _, p := range slices.Sorted(maps.Keys(a.from)) {
		parts, from = append(parts, strconv.Itoa(int(p))), append(from, strconv.FormatInt(a.from[p], 10))
	}
	list := strings.Join(parts, ", ")
	return fmt.Sprintf("topic_generation = %d AND kafka_partition IN (%s) AND kafka_offset >= %d AND kafka_offset >= transform(kafka_partition, [%s], [%s], 0)",
		a.generation, list, slices.Min(slices.Collect(maps.Values(a.from))), list, strings.Join(from, ", "))
}

// days lists the days of which hours have changed, as seconds since 1970.
func (a *adder) days() (days []int64, err error) {
	rows, err := a.s.shards[a.shard].Query(a.ctx, "SELECT DISTINCT toUnixTimestamp(toStartOfDay(hour)) AS day FROM "+a.s.rowsOf(PairsHourly)+" WHERE "+a.changed()+" ORDER BY day")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var day uint32
		if err := rows.Scan(&day); err != nil {
			return nil, err
		}
		days = append(days, int64(day))
	}
	return days, rows.Err()
}

func (a *adder) day(day int64) error {
	within := fmt.Sprintf("hour >= toDateTime(%d, 'UTC') AND hour < toDateTime(%d, 'UTC')", day, day+24*3600)
	var names []string
	for i := range pairsDailyTable.Columns {
		names = append(names, pairsDailyTable.Columns[i].Name)
	}
	sql := "INSERT INTO " + a.s.rowsOf(PairsDaily) + " (`" + strings.Join(names, "`, `") + "`) " +
		strings.NewReplacer("$pairs", a.s.rowsOf(PairsHourly), "$day", within, "$changed", a.changed()).Replace(dailySelect) +
		" SETTINGS insert_deduplicate = 0, optimize_on_insert = 0, use_skip_indexes_if_final = 1"
	return a.s.shards[a.shard].Exec(until{a.ctx, time.Now().Add(dayLimit)}, sql)
}

// dayLimit is for statements that hang. The client's own limit is a minute from the
// statement's beginning, and a large day of a busy server may take longer.
const dayLimit = 30 * time.Minute

// until gives the client a deadline for its socket. It does not end by itself: of a
// context that ends the client closes the connection, which may be somebody else's then.
type until struct {
	context.Context
	at time.Time
}

// Deadline is that of the socket.
func (u until) Deadline() (time.Time, bool) { return u.at, true }

// note keeps up to where all has been added up.
func (a *adder) note() error {
	b, err := a.s.shards[a.shard].PrepareBatch(a.ctx, "INSERT INTO "+a.s.rowsOf(addedTable)+" (topic_generation, kafka_partition, kafka_offset)")
	if err != nil {
		return err
	}
	for p := range a.from {
		if err := b.Append(a.generation, uint16(p), uint64(a.to[p])); err != nil {
			return err
		}
	}
	return b.Send()
}

// endpointsNow names the device that each endpoint belongs to as things stand.
const endpointsNow = `(SELECT b.endpoint AS endpoint, if(k.id = b.device, k.d.1, b.device) AS device_id, k.d.2 AS category, k.d.3 AS type, k.d.4 AS location
    FROM (SELECT endpoint, argMax(device_id, (valid_from, topic_generation, kafka_offset, kafka_index)) AS device FROM $db.bindings GROUP BY endpoint) AS b
    $global LEFT ANY JOIN ` + knownShort + ` AS k ON k.id = b.device)`

// knownShort is known without what patterns have no use for: whoever asks for a whole
// site makes it twice.
const knownShort = `(SELECT id, argMax((device_id, category, type, location), is_alias) AS d
    FROM (SELECT arrayJoin(arrayPushBack(aliases, device_id)) AS id, device_id, category, type, location, id != device_id AS is_alias FROM $db.devices FINAL WHERE NOT deleted)
    GROUP BY id)`

func mapped(ip, from, to string) string {
	return "((" + ip + " >= toIPv6('" + from + "')) AND (" + ip + " <= toIPv6('" + to + "')))"
}

// private are the addresses of RFC 1918, RFC 6598, RFC 3927, RFC 4193 and RFC 4291 that
// are of nobody's on the Internet.
func private(ip string) string {
	return strings.Join([]string{
		mapped(ip, "::ffff:10.0.0.0", "::ffff:10.255.255.255"), mapped(ip, "::ffff:172.16.0.0", "::ffff:172.31.255.255"),
		mapped(ip, "::ffff:192.168.0.0", "::ffff:192.168.255.255"), mapped(ip, "::ffff:100.64.0.0", "::ffff:100.127.255.255"),
		mapped(ip, "::ffff:169.254.0.0", "::ffff:169.254.255.255"), mapped(ip, "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
		mapped(ip, "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
	}, " OR ")
}

func subnet(ip string) string {
	return "if(startsWith(IPv6NumToString(" + ip + "), '::ffff:'), concat(" + ipText("tupleElement(IPv6CIDRToRange("+ip+", 120), 1)") + ", '/24'), concat(IPv6NumToString(tupleElement(IPv6CIDRToRange(" + ip + ", 64), 1)), '/64'))"
}

const zeroID = "toUUID('" + noID + "')"

var patternsSelect = `SELECT
    p.site AS site, p.day AS day, ` + hexID("c.device_id") + ` AS client_device, c.category AS client_category, c.type AS client_type, c.location AS client_location,
    ` + ipText("p.client_ip") + ` AS client_ip, ` + subnet("p.client_ip") + ` AS client_subnet,
    ` + hexID("s.device_id") + ` AS server_device, s.category AS server_category, s.type AS server_type, s.location AS server_location,
    ` + ipText("p.peer_ip") + ` AS server_ip, ` + subnet("p.peer_ip") + ` AS server_subnet,
    p.direction AS direction,
    p.transport AS transport, p.port AS port, p.protocol AS protocol, p.flows AS flows, p.src_packets AS src_packets, p.src_bytes AS src_bytes,
    p.dst_packets AS dst_packets, p.dst_bytes AS dst_bytes, p.hours AS hours, p.first AS first, p.last AS last, ` + hexID("p.endpoint") + ` AS client_endpoint, ` + hexID("p.peer_id") + ` AS server_endpoint,
    p.endpoint AS client_uuid, p.peer_id AS server_uuid, ` + vlanNull("p.vlan") + ` AS vlan, p.country AS country, nullIf(p.asn, 0) AS asn, p.as_name AS as_name
FROM (SELECT * FROM $db.pairs_daily FINAL) AS p
$global LEFT ANY JOIN ` + endpointsNow + ` AS c ON p.endpoint = c.endpoint
$global LEFT ANY JOIN ` + endpointsNow + ` AS s ON p.peer_id = s.endpoint`

var patternViews = []View{{
	Name: "v_patterns", SQL: patternsSelect, Comment: "Who talks to whom by day, with the devices as they stand: give a site and a day to read little, and a client_uuid for one device.",
	Columns: doc(`site: site
day: day, UTC
client_device: device of the client, NULL when outside
client_category: its category
client_type: its type
client_location: where it is
client_ip: its address
client_subnet: the /24 or /64 of it
server_device: device of the server, NULL when outside
server_category: its category
server_type: its type
server_location: where it is
server_ip: its address
server_subnet: the /24 or /64 of it
direction: inside, multicast, to_internet, from_internet; to_elsewhere and from_elsewhere: private addresses that are not the site's
transport: tcp, udp, ...
port: the server's port
protocol: application protocol
flows: flows begun
src_packets: packets from the client
src_bytes: IP bytes from the client
dst_packets: packets from the server
dst_bytes: IP bytes from the server
hours: hours of the day in which they talked
first: first packet
last: last packet
client_endpoint: endpoint of the client
server_endpoint: endpoint of the server
client_uuid: the same as a UUID; WHERE site = ... AND client_uuid = toUUID(client_endpoint) reads only its rows
server_uuid: the server's` + placeDoc),
}}

// placeDoc documents the columns that say where on the network, and where in the world.
const placeDoc = `
vlan: outermost VLAN tag where it was seen
country: country of the end on the Internet, by who announces its address; empty: none, or unknown
asn: autonomous system of that end, NULL for unknown
as_name: its name`
