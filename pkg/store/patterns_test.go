package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/geo"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

func (w *ward) addUp(stored map[int32]int64) int {
	w.t.Helper()
	days, err := w.s.AddUpPairs(context.Background(), 1, stored)
	if err != nil {
		w.t.Fatal(err)
	}
	return days
}

func (w *ward) pair(p proto.Pair, partition int32, offset int64) {
	w.t.Helper()
	if p.Site == "" {
		p.Site = "north"
	}
	p.Hour = p.First / proto.Time(time.Hour) * proto.Time(time.Hour)
	b := store.NewPairBlock()
	b.Add(&p, geo.Place{}, at(partition, offset, 0))
	insert(w.t, w.s, &b.Block, fmt.Sprint("pair", partition, offset, p.Hour, p.Flows, time.Now().UnixNano()))
}

func TestPatterns(t *testing.T) {
	w := newWard(t)
	w.addUp(map[int32]int64{0: 300})
	const sql = "SELECT client_type, client_subnet, server_type, server_ip, direction, port, protocol, flows, src_bytes, dst_bytes, hours, vlan, country, asn, as_name FROM v_patterns ORDER BY port"
	want := "[[infusion_pump 10.0.0.0/24 pacs 10.0.0.2 inside 104 dicom 6 1000 10 1 <nil>  <nil> ] [infusion_pump 10.0.0.0/24  198.51.100.7 to_internet 443 tls 2 300 0 1 <nil> CH 64500 Example]]"
	if got := fmt.Sprint(rows(t, w.s, sql)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// Devices are those of today, also where a merge comes later than the sums.
	w.device(pacs, "medical", "mri", noon, pump)
	if got := fmt.Sprint(rows(t, w.s, "SELECT DISTINCT client_device, client_type FROM v_patterns")); got != fmt.Sprintf("[[%s mri]]", pacs) {
		t.Errorf("after a merge: %s", got)
	}
	if got := fmt.Sprint(rows(t, w.s, "SELECT port, country, asn, as_name, vlan FROM v_pairs ORDER BY port")); got != "[[104  <nil>  <nil>] [443 CH 64500 Example <nil>]]" {
		t.Errorf("v_pairs: %s", got)
	}
}

// Hours come late, twice, in another order and while others are added up: each counts once.
func TestPairsAreAddedUpOnce(t *testing.T) {
	w := &ward{t: t, s: migrated(t)}
	check := func(when, want string) {
		t.Helper()
		if got := fmt.Sprint(rows(t, w.s, "SELECT toString(day), vlan, sum(flows), sum(hours) FROM v_patterns GROUP BY 1, 2 ORDER BY 1, 2")); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	day := noon / proto.Time(24*time.Hour) * proto.Time(24*time.Hour)
	today, yesterday := noon.Std().Format(time.DateOnly), noon.Add(-24*time.Hour).Std().Format(time.DateOnly)
	row := func(hour int, flows uint64, vlan proto.VLAN) proto.Pair {
		from := day.Add(time.Duration(hour) * time.Hour)
		return proto.Pair{Endpoint: e1, PeerID: e2, ClientIP: ipPump, PeerIP: ipPACS, Transport: proto.TCP, Port: 104, Protocol: "dicom", VLAN: vlan, Flows: flows, First: from, Last: from + 1}
	}
	if n := w.addUp(nil); n != 0 {
		t.Errorf("nothing made %d days", n)
	}
	w.pair(row(8, 3, 0), 0, 10)
	w.pair(row(9, 4, 0), 0, 11)
	w.pair(row(8, 5, 0), 0, 12) // replaces the first
	for range 2 {
		w.addUp(map[int32]int64{0: 13, 1: -1})
		check("first", fmt.Sprintf("[[%s <nil> 9 2]]", today))
	}
	if n := w.addUp(map[int32]int64{0: 13}); n != 0 {
		t.Errorf("nothing new made %d days", n)
	}
	w.pair(row(8, 5, 0), 0, 12) // sent again
	w.pair(row(-1, 7, 0), 0, 13)
	w.pair(row(9, 1, 40), 0, 14) // on another VLAN
	if n := w.addUp(map[int32]int64{0: 14}); n != 2 {
		t.Errorf("%d days, want 2: a row behind the mark counts too", n)
	}
	check("then", fmt.Sprintf("[[%s <nil> 7 1] [%s 40 1 1] [%s <nil> 9 2]]", yesterday, today, today))
	w.pair(row(9, 2, 40), 0, 14)
	other := row(10, 100, 0)
	other.Endpoint = e3
	w.pair(other, 1, 2) // another partition, whose offsets are its own
	if n := w.addUp(map[int32]int64{0: 15, 1: 3}); n != 1 {
		t.Errorf("%d days, want 1", n)
	}
	check("what the mark left", fmt.Sprintf("[[%s <nil> 7 1] [%s 40 2 1] [%s <nil> 109 3]]", yesterday, today, today))
	exec(t, w.s, "TRUNCATE TABLE pairs_added") // as if it had never noted anything
	w.addUp(map[int32]int64{0: 15, 1: 3})
	check("again from the start", fmt.Sprintf("[[%s <nil> 7 1] [%s 40 2 1] [%s <nil> 109 3]]", yesterday, today, today))
}

// A table of before conversations had VLANs is brought up to date and keeps its rows.
func TestMigrateAddsToTheOrder(t *testing.T) {
	cfg := testConfig(t)
	s := open(t, cfg)
	migrate(t, s)
	db := cfg.Database
	create := fmt.Sprint(rows(t, s, "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = 'pairs_hourly'")[0][0])
	for _, cut := range []string{", vlan) TTL", "`vlan` UInt16 COMMENT 'outermost VLAN tag, 0 for none' CODEC(ZSTD(1)), "} {
		if !strings.Contains(create, cut) {
			t.Fatalf("no %q in %s", cut, create)
		}
	}
	create = strings.Replace(create, ", vlan) TTL", ") TTL", 1)
	create = strings.Replace(create, "`vlan` UInt16 COMMENT 'outermost VLAN tag, 0 for none' CODEC(ZSTD(1)), ", "", 1)
	exec(t, s, "DROP TABLE "+db+".pairs_hourly SYNC")
	exec(t, s, create)
	exec(t, s, "INSERT INTO "+db+".pairs_hourly (site, hour, port, kafka_time) VALUES ('a', now(), 7, now())")
	m := migrate(t, s)
	all := strings.Join(m.Statements, "\n")
	if !strings.Contains(all, "ADD COLUMN `vlan`") || !strings.Contains(all, "MODIFY ORDER BY (site, endpoint, hour, peer_id, client_ip, peer_ip, transport, port, protocol, vlan)") || len(m.Differences) != 0 {
		t.Errorf("%s\n%q", all, m.Differences)
	}
	if m := migrate(t, s); len(m.Statements)+len(m.Differences) != 0 {
		t.Errorf("second: %q %q", m.Statements, m.Differences)
	}
	exec(t, s, "INSERT INTO "+db+".pairs_hourly (site, hour, port, vlan, kafka_time) SELECT 'a', hour, 7, 9, now() FROM "+db+".pairs_hourly")
	if got := fmt.Sprint(rows(t, s, "SELECT port, vlan FROM pairs_hourly FINAL ORDER BY vlan")); got != "[[7 0] [7 9]]" {
		t.Errorf("rows: %s", got)
	}
}
