package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint"
	"github.com/wardflow/wardflow/services/wardflow/internal/results"
)

// office is a broker with a device fold that can be restarted, and one device.
type office struct {
	t     *testing.T
	kafka bus.Config
	dir   string
	pump  proto.ID
	stop  func()
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, kafka: testKafka(t, 2), dir: t.TempDir(), pump: proto.MACEndpoint("north", proto.MAC{0xf8, 0xc6, 0x78, 0x10, 0x42, 1})}
	now := proto.TimeOf(time.Now())
	val, err := proto.Marshal(&proto.Summary{Endpoint: o.pump, Group: o.pump, Site: "north", FirstSeen: now, LastSeen: now, Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	env, err := (&proto.Envelope{Schema: proto.SchemaDerived, Kind: proto.KindSummary, Producer: "endpoint/0", Seq: 1, Time: now, Domain: proto.LiveDomain}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := bus.Message{Topic: proto.TopicSummaries, Partition: o.pump.Lane().Partition(o.kafka.Partitions), Key: o.pump[:], Value: val, Envelope: env}
	if err := bus.WriteAll(t.Context(), o.kafka, "endpoint", []bus.Message{m}); err != nil {
		t.Fatal(err)
	}
	o.start()
	for begun := time.Now(); o.device().DeviceID != o.pump; <-time.After(50 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatal("the fold tells of no device")
		}
	}
	return o
}

func (o *office) start() {
	ctx, cancel := context.WithCancel(o.t.Context())
	r := stream.NewRunner(fingerprint.NewDevice(fingerprint.Config{}), stream.RunnerConfig{
		Bus: o.kafka, Instance: "0", StateDir: o.dir, Interval: 20 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	})
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	o.stop = func() {
		cancel()
		if err := <-done; err != nil {
			o.t.Errorf("fold: %v", err)
		}
	}
}

func (o *office) desk() (*desk, *strings.Builder) {
	var said strings.Builder
	return &desk{kafka: o.kafka, io: &streams{out: &said, err: &said}}, &said
}

// device is the record that was told last.
func (o *office) device() *proto.Device {
	o.t.Helper()
	r, err := bus.NewReader(o.kafka)
	if err != nil {
		o.t.Fatal(err)
	}
	defer r.Close()
	dev := new(proto.Device)
	_, err = r.Read(o.t.Context(), proto.TopicDevices, o.pump.Lane().Partition(o.kafka.Partitions), 0, func(rec bus.Record) error {
		if rec.Control {
			return nil
		}
		dev = new(proto.Device)
		return json.Unmarshal(rec.Value, dev)
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return dev
}

// A hundred people edit one device at the same time, and the service is restarted
// among them: none is lost, each is told to be applied, and the history is complete.
func TestHundredEditsAtOnce(t *testing.T) {
	o := newOffice(t)
	const writers = 100
	var all sync.WaitGroup
	errs := make(chan error, writers)
	write := func(from, to int) {
		for i := from; i < to; i++ {
			all.Go(func() {
				d, said := o.desk()
				e := newEdit(o.pump, proto.EditSet, fmt.Sprint("person ", i), "")
				e.Attribute, e.Value = []string{"model", "location", "owner", "serial"}[i%4], fmt.Sprint("value ", i)
				if err := d.hand(t.Context(), []*proto.Edit{e}, time.Minute); err != nil {
					errs <- err
				} else if !strings.Contains(said.String(), "applied: 1 edit\n") {
					errs <- fmt.Errorf("person %d was told %q", i, said)
				}
			})
		}
	}
	write(0, writers/2)
	o.stop()
	write(writers/2, writers)
	o.start()
	all.Wait()
	o.stop()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	dev := o.device()
	if dev.Edits == nil || dev.Edits.Kept != writers || dev.Edits.Folded != 0 || len(dev.Human) != 4 || dev.Version != writers+1 {
		t.Fatalf("%+v, %d values, version %d", dev.Edits, len(dev.Human), dev.Version)
	}
	d, _ := o.desk()
	list, err := d.history(t.Context(), &proto.Device{DeviceID: o.pump})
	if err != nil || len(list) != writers {
		t.Fatalf("%d edits in the history, %v", len(list), err)
	}
	people, holds := map[string]bool{}, map[string]string{}
	for _, e := range list {
		people[e.By] = true
		if e.State == fingerprint.EditHolds {
			holds[e.Attribute] = e.Value
		}
	}
	for _, h := range dev.Human {
		if holds[h.Attribute] != h.Value {
			t.Errorf("%s is %q, and the history ends with %q", h.Attribute, h.Value, holds[h.Attribute])
		}
	}
	if len(people) != writers || len(holds) != 4 {
		t.Errorf("%d people, %d values hold", len(people), len(holds))
	}
}

// What is refused is told, and so is what nobody has applied yet.
func TestEditsAreAnswered(t *testing.T) {
	o := newOffice(t)
	d, said := o.desk()
	set := newEdit(o.pump, proto.EditSet, "m.keller", "")
	set.Attribute, set.Value = "model", "8015 PCU"
	undo := newEdit(o.pump, proto.EditUndo, "m.keller", "")
	undo.Undoes = proto.HashID("no such")
	if err := d.hand(t.Context(), []*proto.Edit{set, undo}, time.Minute); err == nil || !strings.Contains(said.String(), "refused: edit "+undo.EditID.String()+" of device "+o.pump.String()+": undoes: the device has no such edit") {
		t.Errorf("%v, %s", err, said)
	}
	list, err := d.history(t.Context(), &proto.Device{DeviceID: o.pump})
	if err != nil || len(list) != 2 || list[0].State != fingerprint.EditHolds || list[1].State != fingerprint.EditRefused {
		t.Errorf("history %+v, %v", list, err)
	}
	if _, err := editNamed(list, set.EditID.String()[:8]); err != nil {
		t.Error(err)
	}
	o.stop()
	d, said = o.desk()
	if err := d.hand(t.Context(), []*proto.Edit{newEdit(o.pump, proto.EditNote, "m.keller", "lent to ward 5")}, 300*time.Millisecond); err != nil || !strings.Contains(said.String(), "written, and not yet applied after 300ms: 1 edit") {
		t.Errorf("%v, %s", err, said)
	}
}

func TestReadEdits(t *testing.T) {
	line := func(id, time, more string) string {
		return fmt.Sprintf(`{"edit_id":"%032s","device_id":"%032d","time":%q,"by":"m.keller",%s}`, id, 7, time, more)
	}
	set := `"action":"set","attribute":"model","value":"X"`
	for name, c := range map[string]struct{ text, want string }{
		"in order of time": {line("2", "2026-11-17T09:00:00Z", set) + "\n\n" + line("1", "2026-11-17T08:00:00Z", set), ""},
		"not JSON":         {"model=X", "line 1: invalid character"},
		"unknown key":      {line("1", "2026-11-17T08:00:00Z", set+`,"who":"x"`), `unknown field "who"`},
		"no author":        {strings.Replace(line("1", "2026-11-17T08:00:00Z", set), "m.keller", "", 1), "line 1: by: missing"},
		"two of one id":    {line("1", "2026-11-17T08:00:00Z", set) + "\n" + line("1", "2026-11-17T08:00:00Z", set), "line 2: edit_id: line 1 has it already"},
		"a fold's own":     {line("1", "2026-11-17T08:00:00Z", `"action":"merge","into":"`+fmt.Sprintf("%032d", 8)+`"`), "the device fold's own"},
		"all at once":      {"x\ny", "line 2"},
	} {
		path := filepath.Join(t.TempDir(), "edits.jsonl")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := readEdits(path)
		switch {
		case c.want == "" && (err != nil || len(list) != 2 || list[0].EditID[15] != 1):
			t.Errorf("%s: %v, %v", name, list, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// What people decided in the middle of a capture, and after it, is in what replay
// writes; a worksheet of that brings it back.
func TestReplayWithEditsAndWorksheet(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	run := func(code int, args ...string) ran {
		t.Helper()
		r := runCLI(t, nil, "", args...)
		if r.code != code {
			t.Fatalf("%v: status %d\n%s%s", args, r.code, r.out, r.err)
		}
		return r
	}
	day := wardFiles(t)[0]
	run(0, "replay", day, "--site", "ward-a", "--out", file("plain"))
	devices, err := results.Devices(file("plain"), "")
	if err != nil || len(devices) == 0 {
		t.Fatal(len(devices), err)
	}
	run(0, "device", "worksheet", "--from", file("plain"), "--out", file("sheet.csv"))
	text, err := os.ReadFile(file("sheet.csv"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	id := devices[0].DeviceID.String()
	var filled string
	for i, l := range lines {
		if strings.Contains(l, id) && strings.Contains(l, ",os_version,") {
			lines[i] = strings.TrimSuffix(l, ",,,") + `,'=7.1,,"seen, on the label"`
			filled = lines[i]
		}
	}
	if filled == "" {
		t.Fatal("the worksheet has no row of the device's os_version")
	}
	lines = append(lines[:len(lines)-1], strings.Replace(filled, "os_version", "colour", 1))
	if err := os.WriteFile(file("sheet.csv"), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(1, "device", "worksheet", "--from", file("plain"), "--in", file("sheet.csv"), "--by", "m.keller", "--edits", file("edits.jsonl"))
	if want := fmt.Sprintf("line %d: attribute: unknown", len(lines)); !strings.Contains(r.err, want) || !strings.Contains(r.err, "1 edit,") {
		t.Errorf("want %q: %s", want, r.err)
	}
	for _, out := range []string{"one", "two"} {
		run(0, "replay", day, "--site", "ward-a", "--edits", file("edits.jsonl"), "--out", file(out))
	}
	run(0, "replay", "--check", file("one"))
	a, err := os.ReadFile(filepath.Join(file("one"), "devices.jsonl"))
	b, err2 := os.ReadFile(filepath.Join(file("two"), "devices.jsonl"))
	if err != nil || err2 != nil || string(a) != string(b) {
		t.Error("twice the same input gives two results", err, err2)
	}
	after, err := results.Devices(file("one"), "")
	if err != nil || len(after) != len(devices) {
		t.Fatal(len(after), err)
	}
	for _, d := range after {
		if d.DeviceID == devices[0].DeviceID && (d.OSVersion == nil || d.OSVersion.Value != "=7.1" || d.Human[0].Note != "seen, on the label") {
			t.Errorf("%+v, %+v", d.OSVersion, d.Human)
		}
	}
}
