package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/geo"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

// The ward: a pump (endpoint e1) that was first taken for another device (old,
// later merged into it), and a PACS (e2); e3's address passed from a laptop to a
// printer at noon+10m. The pump speaks DICOM to the PACS and TLS to the outside.
var (
	e1, e2, e3                = proto.HashID("e1"), proto.HashID("e2"), proto.HashID("e3")
	pump, old, pacs           = proto.ID{1, 15: 1}, proto.ID{1, 15: 2}, proto.ID{2, 15: 1}
	laptop, printer           = proto.ID{3, 15: 1}, proto.ID{4, 15: 1}
	ipPump, ipPACS, ipOutside = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("198.51.100.7")
)

type ward struct {
	t      *testing.T
	s      *store.Store
	offset int64
}

func (w *ward) record(table string, t proto.Time, value any) {
	w.t.Helper()
	b, err := store.NewRecordBlock(table)
	if err != nil {
		w.t.Fatal(err)
	}
	var data []byte
	if bind, ok := value.(*proto.Binding); ok {
		data, err = proto.Marshal(bind)
	} else {
		data, err = json.Marshal(value)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.offset++
	if err := b.Add(&store.Record{Value: data, Envelope: proto.Envelope{Time: t}, At: *at(0, w.offset, 0)}); err != nil {
		w.t.Fatal(err)
	}
	insert(w.t, w.s, &b.Block, fmt.Sprintf("%s-%d", table, w.offset))
}

func (w *ward) bind(t proto.Time, endpoint, device proto.ID, category, typ string) {
	w.t.Helper()
	w.record(store.Bindings, t, &proto.Binding{Endpoint: endpoint, Device: device, Site: "north", Category: category, Type: typ})
}

func (w *ward) device(id proto.ID, category, typ string, seen proto.Time, aliases ...proto.ID) {
	w.t.Helper()
	w.record(store.Devices, noon, &proto.Device{
		DeviceID: id, Aliases: aliases, Site: "north", IPs: proto.Strings{"10.0.0.1"}, Category: &proto.Fact{Value: category, Confidence: 0.9},
		Type: &proto.Fact{Value: typ, Confidence: 0.8}, Manufacturer: &proto.Fact{Value: "Acme"}, FirstSeen: seen, LastSeen: seen, Version: uint64(w.offset),
	})
}

func newWard(t *testing.T) *ward {
	w := &ward{t: t, s: migrated(t)}
	w.bind(noon, e1, old, "unknown", "")
	w.bind(noon.Add(time.Minute), e1, old, "iot", "sensor")
	w.bind(noon.Add(2*time.Minute), e1, pump, "medical", "infusion_pump")
	w.bind(noon, e2, pacs, "medical", "pacs")
	w.bind(noon, e3, laptop, "it", "laptop")
	w.bind(noon.Add(10*time.Minute), e3, printer, "iot", "printer")
	w.device(old, "iot", "sensor", noon)
	w.device(pump, "medical", "infusion_pump", noon, old)
	w.device(pacs, "medical", "pacs", noon)
	w.device(printer, "iot", "printer", noon.Add(-48*time.Hour))
	w.record(store.Detections, noon, &proto.Detection{Time: noon, DetectionID: proto.HashID("d"), Rule: "new_external_peer", Title: "one", Severity: "high", DeviceID: old, Count: 1, First: noon, Last: noon, Site: "north"})
	w.record(store.Detections, noon, &proto.Detection{Time: noon, DetectionID: proto.HashID("d"), Rule: "new_external_peer", Title: "two", Severity: "high", DeviceID: old, Count: 2, First: noon, Last: noon + 1, Site: "north"})
	w.risk(old, 90, 1)
	w.risk(pump, 10, 1)
	w.risk(pump, 55.5, 2)
	w.risk(pacs, 20, 1)
	w.flows()
	return w
}

func (w *ward) risk(id proto.ID, score float64, version uint64) {
	w.record(store.RiskHistory, noon, &proto.Risk{
		Time: noon, DeviceID: id, Score: score, Tier: map[bool]string{true: "high", false: "low"}[score > 50], Version: version, Framework: "wardflow", Site: "north",
		Factors: proto.Factors{{Name: "cleartext", Value: 0.5, Share: 0.3, Why: "DICOM"}, {Name: "external", Value: 1, Share: 0.7, Why: "speaks to the outside"}},
	})
}

func (w *ward) flows() {
	f := store.NewFlowBlock()
	p, a := store.NewPairBlock(), store.NewActivityBlock()
	add := func(i int32, fl proto.Flow) {
		fl.Site, fl.End, fl.Transport, fl.FlowID = "north", fl.Start+1, proto.TCP, proto.HashID("flow", []byte{byte(i)})
		f.Add(&fl, at(0, 100, i))
	}
	add(0, proto.Flow{Start: noon.Add(-time.Minute), SrcIP: ipPump, SrcEndpoint: e1, DstIP: ipPACS, DstEndpoint: e2, DstPort: 104, Protocol: "dicom", State: "SF"})
	add(1, proto.Flow{Start: noon.Add(5 * time.Minute), SrcIP: ipPump, SrcEndpoint: e1, DstIP: ipOutside, DstPort: 443, Protocol: "tls", State: "S0"})
	add(2, proto.Flow{Start: noon.Add(9 * time.Minute), SrcIP: netip.MustParseAddr("10.0.0.3"), SrcEndpoint: e3, DstIP: ipPACS, DstEndpoint: e2, DstPort: 80, Protocol: "http", State: "REJ"})
	add(3, proto.Flow{Start: noon.Add(11 * time.Minute), SrcIP: netip.MustParseAddr("10.0.0.3"), SrcEndpoint: e3, DstIP: ipPACS, DstEndpoint: e2, DstPort: 80, Protocol: "http", State: "SF"})
	place := geo.Place{Country: "CH", ASN: 64500, Name: "Example"}
	pair := proto.Pair{Site: "north", Hour: noon, Endpoint: e1, ClientIP: ipPump, PeerIP: ipOutside, Transport: proto.TCP, Port: 443, Protocol: "tls", Flows: 1, SrcBytes: 100, First: noon, Last: noon.Add(5 * time.Minute)}
	p.Add(&pair, place, at(0, 200, 0))
	pair.Flows, pair.SrcBytes = 2, 300
	p.Add(&pair, place, at(0, 200, 1))
	dicom := proto.Pair{Site: "north", Hour: noon, Endpoint: e1, PeerID: e2, ClientIP: ipPump, PeerIP: ipPACS, Transport: proto.TCP, Port: 104, Protocol: "dicom", Flows: 6, SrcBytes: 1000, DstBytes: 10, First: noon, Last: noon.Add(5 * time.Minute)}
	p.Add(&dicom, geo.Place{}, at(0, 200, 2))
	act := proto.Activity{Site: "north", Hour: noon, Endpoint: e1, Flows: 5, BytesOut: 9, First: noon, Last: noon}
	a.Add(&act, at(0, 200, 3))
	act.Flows, act.BytesOut, act.BytesIn = 8, 1300, 10
	a.Add(&act, at(0, 201, 0))
	for _, b := range []*store.Block{&f.Block, &p.Block, &a.Block} {
		insert(w.t, w.s, b, "ward-"+b.Table())
	}
}

func TestFlowsHaveTheDevicesOfTheirTime(t *testing.T) {
	w := newWard(t)
	got := rows(t, w.s, "SELECT src_device, src_type, dst_device, dst_type FROM v_flows ORDER BY start")
	want := [][]any{
		{pump.String(), "infusion_pump", pacs.String(), "pacs"}, // before the first binding, of a device merged since
		{pump.String(), "infusion_pump", nil, ""},
		{laptop.String(), "laptop", pacs.String(), "pacs"},
		{printer.String(), "printer", pacs.String(), "pacs"},
	}
	if a, b := fmt.Sprint(got), fmt.Sprint(want); a != b {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func column(t *testing.T, r *store.Rows, err error, name string) (out []any) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for r.Next() {
		v, err := r.Values()
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range r.Columns {
			if c == name {
				out = append(out, v[i])
			}
		}
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return out
}

func TestTypedQueries(t *testing.T) {
	w := newWard(t)
	ctx, s := context.Background(), w.s
	check := func(what string, got []any, want ...any) {
		t.Helper()
		if a, b := fmt.Sprintf("%v", got), fmt.Sprintf("%v", want); a != b {
			t.Errorf("%s: %s, want %s", what, a, b)
		}
	}
	r, err := s.Devices(ctx, store.DeviceFilter{})
	check("devices", column(t, r, err, "device_id"), pump.String(), pacs.String(), printer.String())
	r, err = s.Devices(ctx, store.DeviceFilter{Site: "north", Category: "medical", Limit: 1})
	check("devices, filtered", column(t, r, err, "score"), 55.5)
	for _, id := range []proto.ID{pump, old} {
		rec, found, err := s.Device(ctx, id)
		var d proto.Device
		if err != nil || !found || json.Unmarshal(rec, &d) != nil || d.DeviceID != pump || d.Manufacturer.Value != "Acme" {
			t.Errorf("device %s: %s, %v, %v", id, rec, found, err)
		}
	}
	if _, found, err := s.Device(ctx, proto.ID{9}); found || err != nil {
		t.Errorf("device that is not there: %v, %v", found, err)
	}
	flows := func(f store.FlowFilter) []any {
		t.Helper()
		r, err := s.Flows(ctx, f)
		return column(t, r, err, "protocol")
	}
	check("all flows", flows(store.FlowFilter{}), "http", "http", "tls", "dicom")
	check("latest", flows(store.FlowFilter{Limit: 2}), "http", "http")
	check("of the pump", flows(store.FlowFilter{Device: pump}), "tls", "dicom")
	check("of an id merged into it", flows(store.FlowFilter{Device: old}), "tls", "dicom")
	check("of the laptop, not its successor", flows(store.FlowFilter{Device: laptop, Limit: 9}), "http")
	check("with the PACS", flows(store.FlowFilter{Peer: pacs.String()}), "http", "http", "dicom")
	check("pump and PACS", flows(store.FlowFilter{Device: pump, Peer: pacs.String()}), "dicom")
	check("pump and outside", flows(store.FlowFilter{Device: pump, Peer: "198.51.100.0/24"}), "tls")
	check("pump and its own network", flows(store.FlowFilter{Device: pump, Peer: "10.0.0.1"}))
	check("address", flows(store.FlowFilter{Peer: "198.51.100.7"}), "tls")
	check("protocol, site, since", flows(store.FlowFilter{Site: "north", Protocol: "http", Since: noon.Add(10 * time.Minute).Std()}), "http")
	check("no such site", flows(store.FlowFilter{Site: "x' OR '1'='1"}))
	if _, err := s.Flows(ctx, store.FlowFilter{Peer: "nobody"}); err == nil || !strings.Contains(err.Error(), "want a device id") {
		t.Errorf("bad peer: %v", err)
	}
	r, err = s.Detections(ctx, store.DetectionFilter{Device: pump, Rule: "new_external_peer", Severity: "high", Limit: 5})
	check("detections", column(t, r, err, "title"), "two")
	r, err = s.Risk(ctx, store.RiskFilter{Site: "north"})
	check("risk", column(t, r, err, "score"), 55.5, 20.0)
	r, err = s.Risk(ctx, store.RiskFilter{Device: pump, History: true})
	check("risk history", column(t, r, err, "device_id"), pump.String(), pump.String(), pump.String())
}

func TestExamples(t *testing.T) {
	w := newWard(t)
	examples, err := store.Examples()
	if err != nil {
		t.Fatal(err)
	}
	if len(examples) != 10 {
		t.Fatalf("%d examples, want 10", len(examples))
	}
	want := map[string]string{
		"inventory":           "[[north iot printer Acme 1] [north medical infusion_pump Acme 1] [north medical pacs Acme 1]]",
		"riskiest_devices":    "[[" + pump.String() + " north infusion_pump   55.5 high  external speaks to the outside] [" + pacs.String() + " north pacs   20 low  external speaks to the outside]]",
		"medical_to_internet": "[[" + pump.String() + " infusion_pump 198.51.100.7 443 tls 2 300 " + noon.String() + " " + noon.Add(5*time.Minute).String() + "]]",
		"cleartext_clinical":  "[[dicom infusion_pump 10.0.0.1 pacs 10.0.0.2 104 6 1010]]",
		"detections_by_rule":  "[[new_external_peer high 1 1 " + noon.String() + "]]",
		"top_talkers":         "[[" + pump.String() + " medical infusion_pump 1300 10 8]]",
		"silent_devices":      "[[" + printer.String() + " north iot printer   " + noon.Add(-48*time.Hour).String() + " " + fmt.Sprint(48+int(time.Since(noon.Std()).Hours())) + "]]",
		"new_devices":         "[[" + noon.String() + " " + pump.String() + " north medical infusion_pump Acme [] [10.0.0.1] []] [" + noon.String() + " " + pacs.String() + " north medical pacs Acme [] [10.0.0.1] []]]",
		"protocols_by_type":   "[[infusion_pump dicom 6 0.75] [infusion_pump tls 2 0.25]]",
		"failed_connections": "[[" + pump.String() + " infusion_pump 10.0.0.1 198.51.100.7 443 S0 1 " + noon.Add(5*time.Minute).String() + " " + noon.Add(5*time.Minute).String() + "] [" +
			laptop.String() + " laptop 10.0.0.3 10.0.0.2 80 REJ 1 " + noon.Add(9*time.Minute).String() + " " + noon.Add(9*time.Minute).String() + "]]",
	}
	for _, e := range examples {
		if e.Title == "" || strings.Contains(strings.ToUpper(e.SQL), "FINAL") {
			t.Errorf("%s: title %q; FINAL is for the views", e.Name, e.Title)
		}
		got := rows(t, w.s, e.SQL)
		expected, ok := want[e.Name]
		switch {
		case !ok:
			t.Errorf("%s has no expected result", e.Name)
		case fmt.Sprint(got) != expected:
			t.Errorf("%s:\ngot  %v\nwant %s", e.Name, got, expected)
		}
	}
}

func TestAnalystReadsAndDoesNotWrite(t *testing.T) {
	w := newWard(t)
	srv := server(t)
	cfg := store.Default()
	cfg.Addresses, cfg.Database, cfg.User, cfg.Password = []string{srv.Addr}, w.s.Database(), srv.AnalystUser, srv.AnalystPassword
	a := open(t, cfg)
	if got := rows(t, a, "SELECT count() FROM v_devices"); got[0][0] != uint64(3) {
		t.Errorf("analyst sees %v devices", got)
	}
	for _, bad := range []string{
		"INSERT INTO flows (site) VALUES ('x')", "DROP TABLE flows", "ALTER TABLE flows DELETE WHERE 1", "CREATE TABLE x (a UInt8) ENGINE = Memory",
		"SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')", "SELECT * FROM file('/etc/passwd', CSV, 'a String')", "SET readonly = 0", "SYSTEM FLUSH LOGS",
	} {
		if err := a.Exec(context.Background(), bad); store.Code(err) == 0 {
			t.Errorf("not refused: %s: %v", bad, err)
		}
	}
}

// An analyst's condition on a view must reach the table's key: a view that reads
// everything is of no use.
func TestConditionsReachTheKey(t *testing.T) {
	w := newWard(t)
	o := store.NewObservationBlock()
	o.Add(&proto.Observation{Site: "south", Endpoint: e1, Time: noon}, at(0, 1, 0))
	insert(t, w.s, &o.Block, "o")
	for _, q := range []string{
		"SELECT count() FROM v_flows WHERE site = 'north' AND start > '2026-01-01 00:00:00' AND src_type != ''",
		"SELECT count() FROM v_observations WHERE site = 'north' AND type = 'ct'",
	} {
		var plan strings.Builder
		for _, r := range rows(t, w.s, "EXPLAIN indexes = 1 "+q) {
			fmt.Fprintln(&plan, r[0])
		}
		if !strings.Contains(plan.String(), "(site in ['north', 'north'])") {
			t.Errorf("%s reads every site:\n%s", q, plan.String())
		}
	}
}
