package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/proto"
)

var noon = time.Date(2026, 11, 18, 12, 0, 0, 0, time.UTC)

// fullFrame is a busy moment.
func fullFrame() frame {
	f := frame{time: noon}
	for i := range 3 {
		f.sensors = append(f.sensors, sensorLine{name: fmt.Sprintf("st-alban/tap-%d", i), state: proto.SensorUp, version: "v1.2.3", packets: 123_456, bits: 2e9, seen: 3 * time.Second})
	}
	f.sensors[1].state, f.sensors[1].spool, f.sensors[1].drops = proto.SensorAway, 5e9, 12
	for _, name := range append(foldNames(), "sink") {
		f.services = append(f.services, serviceLine{name: name, lag: 12, rate: 345, behind: 2 * time.Second})
	}
	f.services[4].behind, f.services[4].over = 5*time.Minute, true
	for _, name := range shownTopics {
		f.topics = append(f.topics, topicLine{name: name, rate: 17, end: 1_000_000})
	}
	for _, name := range countedTables {
		f.rows = append(f.rows, rowsLine{table: name, rate: 20_000, total: 123_456_789})
	}
	for i := range 30 {
		id := strings.Repeat(fmt.Sprint(i%10), 32)
		f.devices = append(f.devices, []any{"2026-11-18T11:00:00.000000000Z", id, "infusion_pump", "BD (CareFusion)", []any{"PCU-1"}, []any{"10.41.8.152"}, "st-alban"})
		f.found = append(f.found, []any{"2026-11-18T11:30:00.000000000Z", "high", "new_external_peer", id, "patient_monitor", "Patient monitor talks to an outside address"})
		f.risks = append(f.risks, []any{83.7, "critical", id, "infusion_pump", "BD (CareFusion)", []any{[]any{"device_silent", 1.0, 1.0, "", []any{}}}})
	}
	return f
}

// A frame never leaves the terminal: what wraps or scrolls cannot be drawn over.
func TestFramesFit(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {160, 50}, {132, 30}, {131, 60}, {40, 10}, {20, 5}, {300, 100}} {
		for name, f := range map[string]frame{"full": fullFrame(), "empty": {time: noon}, "all away": {time: noon, kafkaErr: strings.Repeat("away ", 50), storeErr: "nobody\nthere"}} {
			for _, colour := range []bool{false, true} {
				lines := render(&screen{width: size[0], colour: colour}, f, size[0], size[1])
				if len(lines) > size[1] {
					t.Errorf("%s at %v: %d lines", name, size, len(lines))
				}
				for _, line := range lines {
					if size[0] >= 80 && shownWidth(line) > size[0] {
						t.Errorf("%s at %v: %d characters: %q", name, size, shownWidth(line), line)
					}
					if !colour && strings.ContainsRune(line, '\x1b') {
						t.Errorf("%s at %v: colours where there should be none: %q", name, size, line)
					}
				}
			}
		}
	}
}

// At 80x24 everything that tells whether all is well is there.
func TestSmallFrameHasWhatMatters(t *testing.T) {
	text := strings.Join(render(&screen{width: 80}, fullFrame(), 80, 24), "\n")
	for _, want := range []string{"kafka ok", "clickhouse ok", "q quits", "st-alban/tap-1", "away", "fingerprint, endpoints", "sink", "> 5 min", "flows", "RISK", "83.7", "DETECTIONS", "high", "NEW DEVICES"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not shown:\n%s", want, text)
		}
	}
}

// What one source does not say does not take the other's away.
func TestHalfOfTheSourcesAway(t *testing.T) {
	f := fullFrame()
	f.kafkaErr = "nothing answers at 127.0.0.1:1"
	text := strings.Join(render(&screen{}, f, 130, 0), "\n")
	for _, want := range []string{"kafka away", "nothing answers at 127.0.0.1:1", "clickhouse ok", "83.7"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not shown:\n%s", want, text)
		}
	}
	if line := oneLine(f); !strings.Contains(line, "kafka: nothing answers") || !strings.Contains(line, "flows 20000 rows/s") {
		t.Errorf("as a line: %s", line)
	}
}

func TestWhatTheNetworkSaidDoesNotSteer(t *testing.T) {
	f := frame{time: noon, devices: [][]any{{"2026-11-18T11:00:00Z", "00", "x\x1b[2J", "\r\n", []any{"\x07"}, []any{}, ""}}}
	for _, line := range render(&screen{}, f, 130, 0) {
		if strings.ContainsAny(line, "\x1b\r\n\x07") {
			t.Errorf("%q", line)
		}
	}
}

func TestAgeOfWhatIsToDo(t *testing.T) {
	var h history
	for i := range 10 {
		h.add(noon.Add(time.Duration(i)*time.Second), map[string]int64{"t": int64(100 + 10*i)})
	}
	now := noon.Add(9 * time.Second)
	for _, tt := range []struct {
		position int64
		want     time.Duration
		over     bool
	}{
		{50, 9 * time.Second, true},   // there before the first look
		{105, 8 * time.Second, false}, // came between the first and the second
		{180, 0, false},               // came last
		{190, 0, false},               // nothing is to do
	} {
		if d, over := h.age("t", tt.position, now); d != tt.want || over != tt.over {
			t.Errorf("%d: %v %v, want %v %v", tt.position, d, over, tt.want, tt.over)
		}
	}
	for range 2 * historyLen {
		h.add(now, map[string]int64{})
	}
	if len(h.at) != historyLen || len(h.ends) != historyLen {
		t.Errorf("remembers %d looks", len(h.at))
	}
}

func TestSensorLines(t *testing.T) {
	w := newWatcher(new(config.Config), time.Second)
	run := proto.HashID("run")
	at := func(s int) proto.Time { return proto.TimeOf(noon.Add(time.Duration(s) * time.Second)) }
	w.status["a/one"] = &heard{
		prior: proto.SensorStatus{Time: at(0), Run: run, Packets: 1000, Bytes: 1e6, Drops: map[string]uint64{"kernel": 5}},
		last:  proto.SensorStatus{Time: at(10), Run: run, Packets: 11_000, Bytes: 11e6, Drops: map[string]uint64{"kernel": 25}, State: proto.SensorUp, SpoolBytes: 7},
		at:    noon.Add(10 * time.Second),
	}
	w.status["a/restarted"] = &heard{
		prior: proto.SensorStatus{Time: at(0), Run: run, Packets: 1000},
		last:  proto.SensorStatus{Time: at(10), Run: proto.HashID("other"), Packets: 3, State: proto.SensorUp},
		at:    noon.Add(-time.Minute),
	}
	got := w.sensorLines(noon.Add(12 * time.Second))
	if one := got[0]; one.packets != 1000 || one.bits != 8e6 || one.drops != 2 || one.lost != 25 || one.spool != 7 || one.seen != 2*time.Second || one.state != proto.SensorUp {
		t.Errorf("%+v", one)
	}
	if two := got[1]; two.packets >= 0 || two.state != proto.SensorAway {
		t.Errorf("a sensor that was started again has no rate yet, and one that was not heard for a minute is away: %+v", two)
	}
}

func TestKeys(t *testing.T) {
	keys := make(chan byte, 8)
	readKeys(t.Context(), strings.NewReader("q"), keys)
	if k, ok := <-keys; !ok || !quits(k) {
		t.Error("q does not quit")
	}
	if _, ok := <-keys; ok {
		t.Error("the end of the input is not told")
	}
	for key, want := range map[byte]bool{'q': true, 'Q': true, 3: true, 4: true, 'x': false, ' ': false} {
		if quits(key) != want {
			t.Errorf("key %d", key)
		}
	}
	keys = make(chan byte, 8)
	readKeys(t.Context(), strings.NewReader("\x1b[A"), keys)
	if k, ok := <-keys; ok {
		t.Errorf("an arrow is taken for key %d", k)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	readKeys(ctx, strings.NewReader("abc"), make(chan byte)) // nobody listens any more: it ends
}

// A frame is drawn over the last without scrolling.
func TestDraw(t *testing.T) {
	got := draw([]string{"a", "b"})
	if want := "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Without anything started top says so, and where to begin; once ends by itself.
func TestTopOfNothing(t *testing.T) {
	got := runCLI(t, nil, "", "top", "--once", "--every", "500ms", "--data-dir", t.TempDir())
	if got.code != 0 || strings.Count(got.out, "start it with `wardflow up`") < 2 || strings.ContainsRune(got.out, '\x1b') {
		t.Errorf("%+v", got)
	}
	if got := runCLI(t, nil, "", "top", "--every", "1ms"); got.code != exitUsage {
		t.Errorf("too often: %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out := &stopper{stop: cancel}
	if code := run(ctx, []string{"top", "--every", "500ms", "--data-dir", t.TempDir()}, &streams{in: strings.NewReader(""), out: out, err: new(bytes.Buffer)}); code != 0 {
		t.Errorf("a log of frames ends with %d", code)
	}
	if !strings.Contains(out.String(), "kafka: nothing has been started") {
		t.Errorf("a line of the log: %s", out.String())
	}
}

// stopper stops when something is written.
type stopper struct {
	bytes.Buffer
	stop func()
}

func (s *stopper) Write(b []byte) (int, error) {
	s.stop()
	return s.Buffer.Write(b)
}
