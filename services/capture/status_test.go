package capture

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
)

// ear is a broker that statuses are said to; down, it takes records and answers nothing.
type ear struct {
	t     *testing.T
	mu    sync.Mutex
	down  bool
	fails error
	open  int
	made  int
	heard []bus.Message
	said  []proto.SensorStatus
}

// after lets time pass, and then looks at the ear or changes it.
func (e *ear) after(d time.Duration, f func()) {
	<-time.After(d)
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

func (e *ear) connect(int) (Link, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fails != nil {
		return nil, e.fails
	}
	e.open++
	e.made++
	return &mouth{e}, nil
}

type mouth struct{ *ear }

// Close implements Link.
func (m *mouth) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open--
}

// Produce implements Link.
func (m *mouth) Produce(_ context.Context, msg bus.Message, done func(error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return
	}
	var s proto.SensorStatus
	if err := json.Unmarshal(msg.Value, &s); err != nil {
		m.t.Error(err)
	}
	m.heard, m.said = append(m.heard, msg), append(m.said, s)
	done(nil)
}

func TestReporter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		e := &ear{t: t}
		packets := uint64(0)
		r, err := NewReporter(ReporterConfig{
			Site: "north", Sensor: "tap-1", Version: "1.2", Run: proto.ID{9}, Partitions: 8, Connect: e.connect,
			Parts: []func(*proto.SensorStatus){
				func(s *proto.SensorStatus) {
					packets += 50
					s.Packets, s.Flows, s.Drops["x"] = packets, packets/10, 3
				},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		e.after(25*time.Second, func() {
			if len(e.said) != 3 || r.Stats() != (ReporterStats{Said: 3}) {
				t.Fatalf("%d statuses after 25 s, %+v", len(e.said), r.Stats())
			}
			e.down = true // for a minute: what is not taken is not said later
		})
		e.after(time.Minute, func() { e.down = false })
		<-time.After(10 * time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		var at []float64
		for i, s := range e.said {
			at = append(at, s.Time.Std().Sub(begun).Seconds())
			if sent := e.heard[i].Sent; sent != s.Time {
				t.Errorf("status of %v is sent at %v", s.Time, sent)
			}
		}
		if want := []float64{0, 10, 20, 90, 95}; !slices.Equal(at, want) {
			t.Errorf("said at %v, want %v", at, want)
		}
		last := e.said[len(e.said)-1]
		if last.State != proto.SensorStopping || e.said[3].State != proto.SensorUp || last.Run != (proto.ID{9}) || last.Started != proto.TimeOf(begun) || last.Version != "1.2" {
			t.Errorf("last %+v", last)
		}
		if s := e.said[1]; s.PacketsPerS != 5 || s.FlowsPerS != 0.5 || s.Check() != nil {
			t.Errorf("rates: %+v", s)
		}
		if st := r.Stats(); st.Said != 5 || st.Dropped != 6 || e.open != 0 {
			t.Errorf("%+v, %d clients open", st, e.open)
		}
		checkRecord(t, &e.heard[0], 1)
		checkRecord(t, &e.heard[4], 11)
	})
}

func checkRecord(t *testing.T, m *bus.Message, seq uint64) {
	t.Helper()
	var env proto.Envelope
	if err := env.Parse(m.Envelope); err != nil {
		t.Fatal(err)
	}
	if env.Kind != proto.KindSensor || env.Producer != "sensor:north/tap-1/"+(proto.ID{9}).String() || env.Seq != seq {
		t.Errorf("envelope %+v", env)
	}
	if m.Topic != proto.TopicSensors || string(m.Key) != "north/tap-1" || m.Partition != proto.SensorLane("north", "tap-1").Partition(8) {
		t.Errorf("%s/%d %s", m.Topic, m.Partition, m.Key)
	}
}

// The last word waits a little and no longer; a client that cannot be made is tried again.
func TestReporterStopsWithoutBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ear{t: t, fails: errors.New("no such file")}
		r, err := NewReporter(ReporterConfig{Site: "north", Sensor: "tap-1", Partitions: 8, Connect: e.connect})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		e.after(15*time.Second, func() { e.fails, e.down = nil, true })
		begun := time.Now()
		cancel()
		if err := <-done; err != nil || time.Since(begun) != reportLast {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if st := r.Stats(); st.Dropped != 3 || e.made != 1 || e.open != 0 {
			t.Errorf("%+v, %d clients made", st, e.made)
		}
	})
}

func TestReporterWantsNames(t *testing.T) {
	for _, bad := range []string{"", "a/b", " a", "a\n"} {
		if _, err := NewReporter(ReporterConfig{Site: "north", Sensor: bad}); err == nil {
			t.Errorf("sensor %q is taken", bad)
		}
	}
}

func TestClip(t *testing.T) {
	for in, want := range map[string]string{"abc": "abc", "abcdef": "abcd", "abcä": "abc", "abä": "abä"} {
		if got := clip(in, 4); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

// Each loss that is looked for is one that is counted somewhere.
func TestLossesExist(t *testing.T) {
	counted := New(Config{Site: "north", Emit: func(proto.Item) {}}).Summary().Drops
	for _, reason := range losses {
		if _, ok := counted[reason]; !ok && reason != DropRingBlock {
			t.Errorf("nobody counts %s", reason)
		}
	}
	s := &Sender{stats: newSenderStats()}
	s.stats.Dropped[DropTooLarge] = 2
	s.stats.Spool.Pending, s.stats.Spool.Bytes, s.stats.Spool.OldestAge = 3, 99, time.Minute
	to := proto.SensorStatus{Time: proto.TimeOf(time.Now()), Drops: map[string]uint64{}}
	s.Report(&to)
	if to.SpoolRecords != 3 || to.SpoolBytes != 99 || to.SpoolOldest != to.Time.Add(-time.Minute) || len(to.Drops) != 1 || to.Drops["send_too_large"] != 2 {
		t.Errorf("%+v", to)
	}
}
