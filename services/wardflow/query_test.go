package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
	"github.com/wardflow/wardflow/pkg/geo"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

var (
	noonOfTests = proto.TimeOf(time.Date(2026, 11, 17, 12, 0, 0, 0, time.UTC))
	pumpID      = proto.ID{0x4f, 0xa0, 0xc2, 15: 1}
	pacsID      = proto.ID{0x4f, 0xb0, 0xc2, 15: 2}
	otherID     = proto.ID{0x5a, 15: 3}
)

// filled is a ClickHouse with a pump that speaks DICOM to a PACS and once to the
// outside, as the environment of a command.
func filled(t *testing.T) []string {
	t.Helper()
	srv := embeddedtest.ClickHouse(t)
	cfg := store.Default()
	cfg.Addresses, cfg.User, cfg.Password, cfg.Database = []string{srv.Addr}, srv.User, srv.Password, srv.Database
	cfg.Analyst.User = srv.AnalystUser
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.Migrate(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	return []string{
		"WARDFLOW_CLICKHOUSE_ADDRESSES=" + srv.Addr, "WARDFLOW_CLICKHOUSE_DATABASE=" + srv.Database, "WARDFLOW_CLICKHOUSE_USER=" + srv.User, "WARDFLOW_CLICKHOUSE_PASSWORD=" + srv.Password,
		"WARDFLOW_CLICKHOUSE_ANALYST_USER=" + srv.AnalystUser, "WARDFLOW_CLICKHOUSE_ANALYST_PASSWORD=" + srv.AnalystPassword,
	}
}

func fill(t *testing.T, s *store.Store) {
	t.Helper()
	at := store.Coordinates{Time: proto.TimeOf(time.Now())} // rows live so long from here
	insert := func(b *store.Block) {
		t.Helper()
		if err := s.Insert(t.Context(), b, fmt.Sprintf("%s-%d", b.Table(), at.Offset)); err != nil {
			t.Fatal(err)
		}
	}
	record := func(table string, v any) {
		t.Helper()
		b, err := store.NewRecordBlock(table)
		if err != nil {
			t.Fatal(err)
		}
		val, err := json.Marshal(v)
		if bind, ok := v.(*proto.Binding); ok {
			val, err = proto.Marshal(bind)
		}
		if err != nil {
			t.Fatal(err)
		}
		at.Offset++
		if err := b.Add(&store.Record{Value: val, Envelope: proto.Envelope{Time: noonOfTests}, At: at}); err != nil {
			t.Fatal(err)
		}
		insert(&b.Block)
	}
	record(store.Bindings, &proto.Binding{Endpoint: pumpID, Device: pumpID, Site: "north", Category: "medical", Type: "infusion_pump"})
	record(store.Bindings, &proto.Binding{Endpoint: pacsID, Device: pacsID, Site: "north", Category: "medical", Type: "pacs"})
	record(store.Devices, &proto.Device{
		DeviceID: pumpID, Site: "north", MACs: proto.Strings{"f8:c6:78:10:42:01"}, IPs: proto.Strings{"10.0.0.1"}, Hostnames: proto.Strings{"pump1"},
		Category: &proto.Fact{Value: "medical", Confidence: 0.9}, Type: &proto.Fact{Value: "infusion_pump", Confidence: 0.8, Sources: proto.Strings{"hl7"}}, FirstSeen: noonOfTests, LastSeen: noonOfTests,
		Evidence: proto.Evidences{{Attribute: "type", Value: "infusion_pump", Protocol: "hl7", Count: 3, Weight: 0.8, First: noonOfTests, Last: noonOfTests}},
	})
	record(store.Devices, &proto.Device{DeviceID: pacsID, Site: "north", IPs: proto.Strings{"10.0.0.2"}, Hostnames: proto.Strings{"pacs1"}, Category: &proto.Fact{Value: "medical"}, Type: &proto.Fact{Value: "pacs"}, FirstSeen: noonOfTests, LastSeen: noonOfTests})
	// The same address and name stand for another device of another site.
	record(store.Devices, &proto.Device{DeviceID: otherID, Site: "south", IPs: proto.Strings{"10.0.0.1"}, Hostnames: proto.Strings{"pump1"}, Type: &proto.Fact{Value: "printer"}, FirstSeen: noonOfTests, LastSeen: noonOfTests})
	record(store.Detections, &proto.Detection{
		Time: noonOfTests, DetectionID: proto.ID{7}, Rule: "new_external_peer", Title: "Infusion pump talks to the outside", Severity: "high", DeviceID: pumpID, Targets: proto.Strings{"198.51.100.7"},
		Evidence: proto.Object{"port": "443"}, Count: 1, First: noonOfTests, Last: noonOfTests, Site: "north", Endpoint: pumpID,
	})
	record(store.RiskHistory, &proto.Risk{
		Time: noonOfTests, DeviceID: pumpID, Score: 61.5, Tier: "high", Likelihood: 0.5, Impact: 0.9, Version: 1, Framework: "wardflow 1.0", Site: "north",
		Factors: proto.Factors{{Name: "external", Value: 1, Share: 0.7, Why: "speaks to the outside"}, {Name: "cleartext_dicom", Value: 0.5, Share: 0.3, Why: "DICOM in clear"}},
	})
	f := store.NewFlowBlock()
	for i, dst := range []string{"10.0.0.2", "198.51.100.7"} {
		fl := proto.Flow{
			FlowID: proto.ID{9, byte(i)}, Final: true, Site: "north", Sensor: "s", Start: noonOfTests.Add(time.Duration(i) * time.Minute), End: noonOfTests.Add(time.Hour), Transport: proto.TCP,
			SrcIP: netip.MustParseAddr("10.0.0.1"), SrcPort: 40000, SrcBytes: 1000, SrcEndpoint: pumpID, DstIP: netip.MustParseAddr(dst), DstPort: 104, State: "SF", Protocol: "dicom", SrcInside: true,
		}
		if i == 0 {
			fl.DstEndpoint, fl.DstInside = pacsID, true
		}
		at.Offset++
		f.Add(&fl, &at)
	}
	insert(&f.Block)
	p := store.NewPairBlock()
	at.Offset++
	p.Add(&proto.Pair{
		Site: "north", Hour: noonOfTests, Endpoint: pumpID, PeerID: pacsID, ClientIP: netip.MustParseAddr("10.0.0.1"), PeerIP: netip.MustParseAddr("10.0.0.2"),
		Transport: proto.TCP, Port: 104, Protocol: "dicom", Flows: 3, SrcBytes: 1000, First: noonOfTests, Last: noonOfTests.Add(time.Minute),
	}, geo.Place{}, &at)
	at.Offset++
	p.Add(&proto.Pair{
		Site: "north", Hour: noonOfTests, Endpoint: pumpID, ClientIP: netip.MustParseAddr("10.0.0.1"), PeerIP: netip.MustParseAddr("130.59.31.80"),
		Transport: proto.TCP, Port: 443, Protocol: "tls", Flows: 1, SrcBytes: 10, First: noonOfTests, Last: noonOfTests.Add(time.Minute),
	}, geo.Place{Country: "CH", ASN: 559, Name: "SWITCH"}, &at)
	insert(&p.Block)
	o := store.NewObservationBlock()
	login := proto.Observation{Time: noonOfTests, Site: "north", Protocol: "smb", Kind: "login", Endpoint: pumpID}
	login.Attributes.Set("mechanism", "ntlm")
	login.Attributes.Set("role", "client")
	at.Offset++
	o.Add(&login, &at)
	insert(&o.Block)
}

// TestCoverageAndFacts: what is not known, and what a device needs, from ClickHouse
// and from a folder.
func TestCoverageAndFacts(t *testing.T) {
	env, dir := filled(t), t.TempDir()
	for name, text := range map[string]string{
		"hospital.yaml": "subnets: [{cidr: 10.0.0.0/24, site: north}, {cidr: 10.7.0.0/24, site: north, name: Radiology}]\nroster: [{mac: 'f8:c6:78:10:42:01'}, {serial: gone-1, name: lost pump}]\n",
		"bad.yaml":      "roster: [{name: pump}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"coverage"}, 0, []string{"3 devices", "manufacturer", "100 %", "What to do"}},
		{[]string{"coverage", "--site", "north", "--context", filepath.Join(dir, "hospital.yaml")}, 0, []string{"2 devices", "10.7.0.0/24", "lost pump", "1 of 2 devices of the roster"}},
		{[]string{"coverage", "--format", "json", "--context", filepath.Join(dir, "hospital.yaml")}, 0, []string{`"unseen_networks":[{"cidr":"10.7.0.0/24","site":"north","name":"Radiology"}]`}},
		{[]string{"coverage", "--context", filepath.Join(dir, "bad.yaml")}, 0, []string{"bad.yaml:1: roster: has none of mac, serial, hostname, ip"}},
		{[]string{"coverage", "--from", dir}, 1, []string{"devices.jsonl", "wardflow replay --out"}},
		{[]string{"facts"}, 2, []string{"name a device, or a model with --model"}},
		{[]string{"facts", "f8:c6:78:10:42:01"}, 0, []string{"1 device", "asks", "pacs", "104", "dicom", "12", "ntlm", "CH AS559 SWITCH"}},
		{[]string{"facts", pacsID.String(), "-o", "json"}, 0, []string{`"direction":"answers","peer":"infusion_pump","transport":"tcp","port":104,"protocol":"dicom","peers":1,"devices":1,"flows":3,"bytes":1000,"hours":[12]`}},
		{[]string{"facts", "--model", "none"}, 1, []string{`no device of model "none"`}},
		{[]string{"facts", "pump1", "--from", dir}, 1, []string{"devices.jsonl"}},
	} {
		got := runCLI(t, env, "", c.args...)
		for _, w := range c.want {
			if got.code != c.code || !strings.Contains(got.out+got.err, w) {
				t.Errorf("%v: %+v\nlacks %q", c.args, got, w)
			}
		}
	}
}

func TestQueries(t *testing.T) {
	env := filled(t)
	pump := pumpID.String()
	tests := map[string]struct {
		args []string
		in   string
		code int
		want []string // parts of output or of what is said
		not  string
	}{
		"devices":             {args: []string{"devices"}, want: []string{"4fa0c2000000  infusion_pump", "61.5  high", "pump1", "pacs"}},
		"devices, filtered":   {args: []string{"devices", "--type", "pacs", "-o", "csv"}, want: []string{"device_id,aliases,site", pacsID.String()}, not: pump},
		"devices, json":       {args: []string{"devices", "-o", "json", "--limit", "1"}, want: []string{`{"device_id":"` + pump + `"`, `"score":61.5`}, not: pacsID.String()},
		"no devices":          {args: []string{"devices", "--site", "west"}, want: []string{"No devices."}},
		"device by prefix":    {args: []string{"device", "4fa0"}, want: []string{pump, "infusion_pump", "Why", "hl7", "Risk", "external 70%", "Latest detections", "new_external_peer"}},
		"device by address":   {args: []string{"device", "10.0.0.1", "--site", "north", "-o", "json"}, want: []string{`{"device_id":"` + pump + `"`, `"evidence":[{`}},
		"device by MAC":       {args: []string{"device", "F8-C6-78-10-42-01"}, want: []string{pump}},
		"device by name":      {args: []string{"device", "pump1", "--site", "south"}, want: []string{otherID.String(), "printer"}, not: pump},
		"device of two sites": {args: []string{"device", "10.0.0.1"}, code: 1, want: []string{"say which by id or --site", pump + "  north: infusion_pump", otherID.String() + "  south: printer"}},
		"device of no site":   {args: []string{"device", "pump1", "--site", "west"}, code: 1, want: []string{`no device "pump1"`}},
		"no device":           {args: []string{"device", "ct7"}, code: 1, want: []string{`no device "ct7": ` + "`wardflow devices` lists all"}},
		"no device of an id":  {args: []string{"device", strings.Repeat("0", 31) + "9"}, code: 1, want: []string{"no device 0000"}},
		"several devices":     {args: []string{"device", "4f"}, code: 1, want: []string{"no device"}},
		"flows":               {args: []string{"flows"}, want: []string{"10.0.0.1", "198.51.100.7", "dicom", "infusion_pump"}},
		"flows of a device":   {args: []string{"flows", "--device", "pacs1", "-o", "json"}, want: []string{`"dst_device":"` + pacsID.String() + `"`}, not: "198.51.100.7"},
		"flows with a peer":   {args: []string{"flows", "--device", "4fa0", "--peer", "198.51.100.0/24", "-o", "csv"}, want: []string{"198.51.100.7"}, not: pacsID.String()},
		"flows since":         {args: []string{"flows", "--since", "2026-11-17T12:00:30Z"}, want: []string{"198.51.100.7"}, not: "10.0.0.2"},
		"flows of a protocol": {args: []string{"flows", "--protocol", "hl7"}, want: []string{"No flows match."}},
		"detections":          {args: []string{"detections", "--device", "pump1", "--site", "north"}, want: []string{"new_external_peer", "Infusion pump talks to the outside"}},
		"detections, json":    {args: []string{"detections", "-o", "json"}, want: []string{`"evidence":{"port":"443"}`, `"targets":["198.51.100.7"]`}},
		"risk":                {args: []string{"risk"}, want: []string{"61.5  high", "external 70%, cleartext_dicom 30%"}},
		"risk, history":       {args: []string{"risk", "--history", "-o", "json"}, want: []string{`"score":61.5`, `"why":"DICOM in clear"`}},
		"sql":                 {args: []string{"sql", "SELECT type, 1 + 1 AS two FROM v_devices ORDER BY type;"}, want: []string{"TYPE", "infusion_pump", "TWO", "2"}},
		"sql from a file":     {args: []string{"sql", "-", "-o", "csv"}, in: "SELECT count() AS n\nFROM v_flows", want: []string{"n\n2\n"}},
		"sql is read-only":    {args: []string{"sql", "DROP TABLE flows"}, code: 1, want: []string{"wardflow: query clickhouse"}},
		"sql that is wrong":   {args: []string{"sql", "SELEKT 1"}, code: 1, want: []string{"Syntax error"}},
		"example":             {args: []string{"examples", "inventory", "--run"}, want: []string{"infusion_pump", "DEVICES"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := runCLI(t, env, tt.in, tt.args...)
			if got.code != tt.code {
				t.Errorf("status %d", got.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(got.out+got.err, want) {
					t.Errorf("%q is not in\n%s%s", want, got.out, got.err)
				}
			}
			if tt.not != "" && strings.Contains(got.out, tt.not) {
				t.Errorf("%q is in\n%s", tt.not, got.out)
			}
		})
	}
	t.Run("without the analyst's password nothing can be written either", func(t *testing.T) {
		var own []string
		for _, kv := range env {
			if !strings.HasPrefix(kv, "WARDFLOW_CLICKHOUSE_ANALYST_PASSWORD") {
				own = append(own, kv)
			}
		}
		if got := runCLI(t, own, "", "sql", "DROP TABLE flows"); got.code != 1 || !strings.Contains(got.err, "readonly") {
			t.Errorf("%+v", got)
		}
		if got := runCLI(t, own, "", "devices"); got.code != 0 || !strings.Contains(got.out, "pump1") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("nothing answers", func(t *testing.T) {
		gone := append([]string{"WARDFLOW_CLICKHOUSE_ADDRESSES=127.0.0.1:1"}, env[1:]...)
		if got := runCLI(t, gone, "", "devices"); got.code != 1 || !strings.Contains(got.err, "nothing answers at 127.0.0.1:1") || !strings.Contains(got.err, "wardflow up") {
			t.Errorf("%+v", got)
		}
	})
}
