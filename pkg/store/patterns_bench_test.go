package store_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
)

// A site of 50,000 devices with 8 conversations each: 400,000 in an hour.
const (
	benchDevices = 50_000
	benchHour    = 8 * benchDevices
)

// fillPairs stores hours of conversations, each of 3 flows, in chunks as they would come.
func fillPairs(b testing.TB, s *store.Store, from, to int) {
	id := func(x string) string { return "reinterpretAsUUID(sipHash128(" + x + "))" }
	const client, peer, chunk = "number % 50000", "intDiv(number, 50000) % 8", benchHour
	for at := from; at < to; at += chunk {
		exec(b, s, "INSERT INTO pairs_hourly (kafka_time, topic_generation, kafka_offset, site, endpoint, hour, peer_id, client_ip, peer_ip, transport, port, protocol, vlan, country, flows, src_bytes, first, last, row_version) "+
			"SELECT now(), 1, 1 + intDiv(number, 3000), 'north', "+id(client)+" AS e, toStartOfDay(now()) + toIntervalHour(intDiv(number, 400000) % 24) AS h, if("+peer+" = 7, toUUID('00000000-0000-0000-0000-000000000000'), "+id(peer+" * 7")+
			"), toIPv6(IPv4NumToString(toUInt32(167772160 + "+client+"))), toIPv6(if("+peer+" = 7, '130.59.31.80', IPv4NumToString(toUInt32(167772160 + "+peer+" * 7)))), 'tcp', [104, 443, 2575, 53]["+peer+
			" % 4 + 1], 'tls', 100 + intDiv("+client+", 1000), if("+peer+" = 7, 'CH', ''), 3, 1000, h, h, number + 1 FROM numbers("+strconv.Itoa(at)+", "+strconv.Itoa(min(chunk, to-at))+")")
	}
}

// BenchmarkPatterns asks v_patterns of a day and of a week of that site: 9.6 million
// hours of conversations, of 28.8 million flows (WARDFLOW_BENCH_ROWS for another number).
func BenchmarkPatterns(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("WARDFLOW_BENCH_ROWS"))
	if err != nil {
		n = 24 * benchHour
	}
	s := migrated(b)
	const what = "reinterpretAsUUID(sipHash128(number)), 'north', 'medical', ['ct', 'infusion_pump', 'patient_monitor', 'pacs'][number % 4 + 1]"
	exec(b, s, "INSERT INTO bindings (kafka_time, valid_from, endpoint, device_id, site, category, type) SELECT now(), now(), reinterpretAsUUID(sipHash128(number)), "+what+" FROM numbers(50000)")
	exec(b, s, "INSERT INTO devices (kafka_time, row_version, device_id, site, category, type) SELECT now(), 1, "+what+" FROM numbers(50000)")
	addUp := func(what string, to int) {
		begun, before := time.Now(), serverCPU()
		days, err := s.AddUpPairs(context.Background(), 1, map[int32]int64{0: int64(2 + to/3000)})
		if err != nil || days != 1 {
			b.Fatal(days, err)
		}
		b.Logf("add up %s: %v, server CPU %v", what, time.Since(begun).Round(time.Millisecond), serverCPU()-before)
	}
	fillPairs(b, s, 0, n-benchHour)
	addUp("the day but its last hour", n-benchHour)
	fillPairs(b, s, n-benchHour, n)
	addUp("an hour in which everybody talked", n)
	exec(b, s, "INSERT INTO pairs_hourly SELECT * REPLACE (kafka_offset + 1000000 AS kafka_offset, row_version + 1000000000 AS row_version) FROM pairs_hourly WHERE hour = toStartOfDay(now()) LIMIT 3000")
	addUp("3,000 rows", 3000*1_100_000)
	for day := range 6 {
		exec(b, s, fmt.Sprintf("INSERT INTO pairs_daily SELECT * REPLACE (day - %d AS day) FROM (SELECT * FROM pairs_daily FINAL WHERE day = today())", day+1))
	}
	for len(rows(b, s, "SELECT 1 FROM system.merges WHERE database = currentDatabase() LIMIT 1")) > 0 { // their time would be counted
		<-time.After(time.Second)
	}
	one := fmt.Sprint(rows(b, s, "SELECT toString(reinterpretAsUUID(sipHash128(4711)))")[0][0])
	for _, c := range []struct{ name, sql string }{
		{"device", "SELECT server_device, port, protocol, sum(flows), sum(src_bytes), min(first), max(last) FROM v_patterns WHERE site = 'north' AND client_uuid = toUUID('" + one + "') GROUP BY 1, 2, 3"},
		{"types", "SELECT client_type, server_type, direction, protocol, sum(flows), sum(src_bytes) FROM v_patterns WHERE day = today() GROUP BY 1, 2, 3, 4"},
		{"vlans", "SELECT vlan, server_type, protocol, sum(flows), sum(src_bytes) FROM v_patterns WHERE site = 'north' AND day = today() GROUP BY 1, 2, 3"},
		{"internet", "SELECT client_device, server_ip, port, sum(src_bytes) FROM v_patterns WHERE site = 'north' AND day = today() AND direction = 'to_internet' GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 20"},
		{"countries", "SELECT client_type, country, asn, sum(flows), sum(src_bytes) FROM v_patterns WHERE site = 'north' AND day = today() AND country != '' GROUP BY 1, 2, 3"},
		{"types/week", "SELECT client_type, server_type, direction, protocol, sum(flows), sum(src_bytes) FROM v_patterns WHERE day > today() - 7 GROUP BY 1, 2, 3, 4"},
	} {
		b.Run(c.name, func(b *testing.B) {
			before := serverCPU()
			for range b.N {
				if len(rows(b, s, c.sql)) == 0 {
					b.Fatal("no rows")
				}
			}
			b.ReportMetric(float64(n), "rows")
			b.ReportMetric((serverCPU()-before).Seconds()*1e3/float64(b.N), "server_cpu_ms/op")
			if os.Getenv("WARDFLOW_BENCH_EXPLAIN") != "" {
				for _, r := range rows(b, s, "EXPLAIN PLAN indexes = 1 "+c.sql) {
					b.Log(r[0])
				}
			}
		})
	}
}
