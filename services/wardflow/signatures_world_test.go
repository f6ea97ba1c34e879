package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

const ourNames = `pack: our-names
version: 1.0.0
licence: CC0-1.0
rules:
  - id: radiology-workstation
    match: {attribute: hostname, prefix: WS-RAD}
    says: {model: {Reading room PC: 0.95}}
    source: the house's rule for names
    examples: [{evidence: WS-RAD-12, expect: {model: Reading room PC}}]
`

// A pack that is added while the system runs makes other devices of those that are known,
// and what it said goes when it is taken away. So does what people decide reach SQL.
func TestSignaturesOfTheRunningSystem(t *testing.T) {
	onKafkaOnly(t)
	w := newWorld(t, false)
	w.start("fingerprint", "", "fingerprint")
	w.start("sink", "", "sink")
	w.capture(sites[0], "../../testdata/ward-a/incident-03-monitor-external-515.pcap")
	run := func(args ...string) string {
		t.Helper()
		out, err := w.command(args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	until := func(what, sql, want string) {
		t.Helper()
		got := ""
		for begun := time.Now(); time.Since(begun) < time.Minute; <-time.After(100 * time.Millisecond) {
			if got = fmt.Sprint(selected(t, w.store, sql)); got == want {
				return
			}
		}
		t.Fatalf("%s: %s, want %s", what, got, want)
	}
	const workstation = "FROM v_devices WHERE has(hostnames, 'WS-RAD-07')"
	until("before", "SELECT model, count() OVER () "+workstation, "[[ 1]]")
	pack := tempFile(t, "our-names.yaml", ourNames)
	if said := run("signatures", "add", pack, "--by", "a.meyer"); !strings.Contains(said, "Pack our-names 1.0.0 with 1 rule is on its way") {
		t.Errorf("add: %s", said)
	}
	until("with the pack", "SELECT model "+workstation, "[[Reading room PC]]")
	if said := run("signatures", "list", "-o", "csv"); !strings.Contains(said, "our-names,1.0.0,CC0-1.0,1,0,a.meyer,") {
		t.Errorf("list: %s", said)
	}
	id := fmt.Sprint(selected(t, w.store, "SELECT device_id "+workstation)[0][0])
	run("device", "set", id, "model=Box 7", "--by", "m.keller", "--note", "seen")
	until("what a person says", "SELECT model, human "+workstation, "[[Box 7 [model]]]")
	until("its history", "SELECT attribute, value, by, note, state FROM v_edits WHERE device_id = '"+id+"'", "[[model Box 7 m.keller seen holds]]")
	handRefused(t, w.engines.Kafka, id)
	until("what was refused", "SELECT action, state, refused_because != '' FROM v_edits WHERE device_id = '"+id+"' ORDER BY kafka_time, time", "[[set holds 0] [undo refused 1]]")
	edit := fmt.Sprint(selected(t, w.store, "SELECT edit_id FROM v_edits WHERE action = 'set'")[0][0])
	run("device", "undo", id, edit, "--by", "m.keller")
	until("undone", "SELECT model "+workstation, "[[Reading room PC]]")
	until("its history", "SELECT state, undone_by FROM v_edits WHERE action = 'set'", "[[undone m.keller]]")
	run("signatures", "remove", "our-names", "--by", "a.meyer")
	until("without the pack", "SELECT model "+workstation, "[[]]")
	until("patterns", "SELECT count() > 0, countIf(direction = 'inside') > 0 FROM v_patterns WHERE client_device = '"+id+"' OR server_device = '"+id+"'", "[[1 1]]")
}

// handRefused hands an edit in that the device fold cannot apply, past the command's own check.
func handRefused(t *testing.T, kafka bus.Config, id string) {
	t.Helper()
	device, err := proto.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	e := newEdit(device, proto.EditUndo, "m.keller", "")
	e.Undoes = proto.HashID("no such edit")
	m, err := editMessage(e, kafka.Partitions)
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.WriteAll(t.Context(), kafka, "test/refused", []bus.Message{m}); err != nil {
		t.Fatal(err)
	}
}

// What is wrong within the files that a configuration names is told by config check, with
// the place of the setting and the place in the file.
func TestConfigCheckReadsFiles(t *testing.T) {
	bad := tempFile(t, "bad.yaml", strings.Replace(ourPack, "    source: the maker's manual\n", "", 1))
	table := tempFile(t, "table.tsv", "1.0.0.0\t1.0.0.255\t1\tUS\tA\n1.0.1.0,1.0.1.255,US\n")
	good := tempFile(t, "good.tsv", "1.0.0.0\t1.0.0.255\t1\tUS\tA\n")
	for _, c := range []struct {
		conf string
		code int
		want []string
	}{
		{"site: a\nfingerprint:\n  packs: " + bad + "\n", 1, []string{"CONF:3: fingerprint.packs: " + bad + ":5: rule acme: source is missing", "`wardflow signatures test " + bad + "` tells the same"}},
		{"site: a\nfingerprint: {packs: nowhere.yaml}\n", 1, []string{"CONF:2: fingerprint.packs: ", "nowhere.yaml"}},
		{"sitte: a\ngeo: {table: " + table + "}\n", 1, []string{"CONF:1: sitte: is no setting", "CONF:2: geo.table: " + table + ": line 2: has 1 columns", "ip2asn-combined.tsv"}},
		{"geo: {table: nowhere.tsv}\n", 1, []string{"CONF:1: geo.table: ", "nowhere.tsv: no such file"}},
		{"geo: {table: " + good + "}\nfingerprint: {packs: " + filepath.Dir(tempFile(t, "our.yaml", ourPack)) + "}\n", 0, []string{": good"}},
	} {
		file := tempFile(t, "conf.yaml", c.conf)
		r := runCLI(t, nil, "", "config", "check", file)
		for _, want := range c.want {
			if want = strings.Replace(want, "CONF", file, 1); r.code != c.code || !strings.Contains(r.out+r.err, want) {
				t.Errorf("%q: %d\n%s%s\nlacks %q", c.conf, r.code, r.out, r.err, want)
			}
		}
	}
}

func selected(t *testing.T, s *store.Store, sql string) (out [][]any) {
	t.Helper()
	r, err := s.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	defer func() { _ = r.Close() }()
	for r.Next() {
		v, err := r.Values()
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		out = append(out, v)
	}
	if r.Err() != nil {
		t.Fatalf("%s: %v", sql, r.Err())
	}
	return out
}
