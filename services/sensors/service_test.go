package sensors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
	"github.com/wardflow/wardflow/pkg/ocsf"
	"github.com/wardflow/wardflow/pkg/ocsf/ocsftest"
	"github.com/wardflow/wardflow/proto"
)

// site is a broker, its sensors, and a clock that only the test moves.
type site struct {
	t     *testing.T
	bus   bus.Config
	out   *bus.Producer
	clock atomic.Int64  // ahead of the real one
	haste time.Duration // how far it moves each time that await looks
	runs  map[string]func() error
}

func newSite(t *testing.T) *site {
	t.Helper()
	c := bus.Default()
	addr, user, password := embeddedtest.NewTestBroker(t)
	c.Brokers, c.Partitions, c.Replicas = []string{addr}, 4, 1
	c.SASL = bus.SASL{Mechanism: "scram-sha-256", User: user, Password: password}
	if err := bus.EnsureTopics(t.Context(), c, bus.Topics()); err != nil {
		t.Fatal(err)
	}
	out, err := bus.NewProducer(c, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	return &site{t: t, bus: c, out: out, runs: map[string]func() error{}}
}

func (s *site) now() time.Time { return time.Now().Add(time.Duration(s.clock.Load())) }

// start runs an instance; stop waits for its end.
func (s *site) start(instance string) *Service {
	svc := New(Config{Instance: instance, Bus: s.bus, Now: s.now, RequireEnrolment: true})
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() {
		for {
			err := svc.Run(ctx)
			if err == nil || ctx.Err() != nil {
				done <- err
				return
			}
		}
	}()
	s.runs[instance] = func() error { cancel(); return <-done }
	s.t.Cleanup(func() { s.stop(instance) })
	return svc
}

func (s *site) stop(instance string) {
	if f := s.runs[instance]; f != nil {
		delete(s.runs, instance)
		if err := f(); err != nil && !errors.Is(err, context.Canceled) {
			s.t.Errorf("instance %s: %v", instance, err)
		}
	}
}

func (s *site) says(st proto.SensorStatus, off time.Duration) {
	s.t.Helper()
	value, err := json.Marshal(&st)
	if err != nil {
		s.t.Fatal(err)
	}
	s.out.Produce(s.t.Context(), bus.Message{
		Topic: proto.TopicSensors, Partition: proto.SensorLane(st.Site, st.Sensor).Partition(s.bus.Partitions), Key: []byte(proto.SensorKey(st.Site, st.Sensor)), Value: value,
		Sent: proto.TimeOf(time.Now().Add(off)),
	}, nil)
	if err := s.out.Flush(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// read gives all records of a topic.
func (s *site) read(topic string) (list []bus.Record) {
	s.t.Helper()
	r, err := bus.NewReader(s.bus)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	for p := range s.bus.Partitions {
		if _, err := r.Read(s.t.Context(), topic, p, 0, func(rec bus.Record) error {
			if !rec.Control {
				list = append(list, rec)
			}
			return nil
		}); err != nil {
			s.t.Fatal(err)
		}
	}
	return list
}

func (s *site) events() (list []proto.SensorEvent) {
	for _, r := range s.read(proto.TopicSensorEvents) {
		var v proto.SensorEvent
		if err := json.Unmarshal(r.Value, &v); err != nil {
			s.t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

// await waits until these events have been said, and no others.
func (s *site) await(want ...string) []proto.SensorEvent {
	s.t.Helper()
	slices.Sort(want)
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	for {
		events := s.events()
		var got []string
		for _, v := range events {
			got = append(got, v.Sensor+" "+v.What)
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			return events
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("said:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		case <-time.After(100 * time.Millisecond):
			s.clock.Add(int64(s.haste))
		}
	}
}

func (s *site) enrol(sensors ...string) {
	s.t.Helper()
	for _, name := range sensors {
		value, err := json.Marshal(&proto.Control{Kind: proto.ControlEnrolment, Enrolment: &proto.SensorEnrolment{Time: proto.TimeOf(time.Now()), Site: "north", Sensor: name}})
		if err != nil {
			s.t.Fatal(err)
		}
		var m []bus.Message
		for p := range s.bus.Partitions {
			m = append(m, bus.Message{Topic: proto.TopicControl, Partition: p, Key: []byte("enrolment/north/" + name), Value: value})
		}
		if err := bus.WriteAll(s.t.Context(), s.bus, proto.TopicControl, m); err != nil {
			s.t.Fatal(err)
		}
	}
}

// The life of six sensors with instances that come, go and take over: each event
// once, on both topics, numbered without a gap for the sink.
func TestEachOnceWithInstancesThatComeAndGo(t *testing.T) {
	s := newSite(t)
	var names, want []string
	for i := range 6 {
		names = append(names, fmt.Sprintf("tap-%d", i))
	}
	status := func(n string) proto.SensorStatus {
		return proto.SensorStatus{Site: "north", Sensor: n, Run: proto.ID{1}, State: proto.SensorUp, Version: "1"}
	}
	everybody := func(f func(n string)) {
		for _, n := range names {
			f(n)
		}
	}
	all := func(what string) {
		everybody(func(n string) { want = append(want, n+" "+what) })
	}
	s.enrol(names[:5]...)
	a := s.start("a")
	everybody(func(n string) { s.says(status(n), 0) })
	all("new_run")
	want = append(want, "tap-0 enrolled", "tap-1 enrolled", "tap-2 enrolled", "tap-3 enrolled", "tap-4 enrolled", "tap-5 unknown")
	s.await(want...)
	if err := a.Check(); err != nil {
		t.Errorf("check: %v", err)
	}

	s.start("b") // takes half of them
	everybody(func(n string) { s.says(status(n), time.Hour) })
	all("clock_suspect")
	s.await(want...)

	all("away")
	s.haste = 5 * time.Second // also for who has just taken a partition over, and listens anew
	s.await(want...)
	s.haste = 0

	s.stop("a") // b has them all
	if err := a.Check(); !errors.Is(err, errNotJoined) {
		t.Errorf("check of one that has ended: %v", err)
	}
	everybody(func(n string) { s.says(status(n), 0) })
	all("back")
	all("clock_right")
	s.await(want...)
	s.stop("b")

	s.enrol("tap-5") // while no instance is there
	everybody(func(n string) {
		st := status(n)
		st.SpoolRecords = 3
		s.says(st, 0)
	})
	svc := s.start("a")
	all("spooling")
	want = append(want, "tap-5 enrolled")
	s.await(want...)
	everybody(func(n string) { s.says(status(n), 0) })
	all("spool_drained")
	events := s.await(want...)
	s.stop("a")
	if st := svc.Stats(); st.Statuses < 12 || st.Events < 13 || st.Malformed != 0 || st.Refused != 0 {
		t.Errorf("stats %+v", st)
	}
	checkAlerts(t, s, events)
}

func checkAlerts(t *testing.T, s *site, events []proto.SensorEvent) {
	t.Helper()
	schema := ocsftest.Read(t)
	ids := map[string]*proto.SensorEvent{}
	for i := range events {
		if ids[events[i].EventID.String()] != nil {
			t.Errorf("%s of %s twice", events[i].What, events[i].Sensor)
		}
		ids[events[i].EventID.String()] = &events[i]
	}
	numbers := map[string][]uint64{}
	for _, topic := range []string{proto.TopicSensorEvents, proto.TopicAlerts} {
		for _, r := range s.read(topic) {
			var env proto.Envelope
			if err := env.Parse(r.Envelope); err != nil {
				t.Fatal(err)
			}
			key := topic + env.Producer
			if numbers[key] = append(numbers[key], env.Seq); env.Seq != uint64(len(numbers[key])) {
				t.Errorf("%s: number %d at place %d", key, env.Seq, len(numbers[key]))
			}
		}
	}
	alerts := s.read(proto.TopicAlerts)
	if len(alerts) != len(events) {
		t.Errorf("%d alerts of %d events", len(alerts), len(events))
	}
	for _, r := range alerts {
		var v map[string]any
		var f ocsf.Finding
		if err := errors.Join(json.Unmarshal(r.Value, &v), json.Unmarshal(r.Value, &f)); err != nil {
			t.Fatal(err)
		}
		for _, wrong := range schema.Check(v) {
			t.Error(wrong)
		}
		e := ids[f.Metadata.UID]
		if e == nil {
			t.Fatalf("alert of no event: %s", r.Value)
		}
		if closes := f.ActivityID == ocsf.ActivityClose; closes == e.Closes.IsZero() || closes && f.FindingInfo.UID != e.Closes.String() {
			t.Errorf("%s: activity %d, finding %s, closes %s", e.What, f.ActivityID, f.FindingInfo.UID, e.Closes)
		}
		if f.FindingInfo.Desc == "" || f.Message == "" || f.IsAlert == (e.Severity == proto.SeverityInfo) {
			t.Errorf("%s", r.Value)
		}
	}
}

// What is no status, or lies where it does not belong, is counted and changes nothing.
func TestMalformed(t *testing.T) {
	good := proto.SensorStatus{Site: "north", Sensor: "tap-1", Run: proto.ID{1}, State: proto.SensorUp}
	record := func(change func(s *proto.SensorStatus, r *bus.Record)) *bus.Record {
		st := good
		r := &bus.Record{Topic: proto.TopicSensors, Key: []byte("north/tap-1"), Partition: proto.SensorLane("north", "tap-1").Partition(8)}
		change(&st, r)
		if r.Value == nil {
			value, err := json.Marshal(&st)
			if err != nil {
				t.Fatal(err)
			}
			r.Value = value
		}
		return r
	}
	many := map[string]uint64{}
	for i := range 100 {
		many[fmt.Sprint(i)] = 1
	}
	tests := map[string]func(s *proto.SensorStatus, r *bus.Record){
		"no JSON":          func(_ *proto.SensorStatus, r *bus.Record) { r.Value = []byte("{") },
		"nothing":          func(_ *proto.SensorStatus, r *bus.Record) { r.Value = []byte{} },
		"other key":        func(_ *proto.SensorStatus, r *bus.Record) { r.Key = []byte("north/tap-2") },
		"other partition":  func(_ *proto.SensorStatus, r *bus.Record) { r.Partition++ },
		"no name":          func(s *proto.SensorStatus, r *bus.Record) { s.Sensor, r.Key = "", []byte("north/") },
		"slash":            func(s *proto.SensorStatus, r *bus.Record) { s.Sensor, r.Key = "a/b", []byte("north/a/b") },
		"does not print":   func(s *proto.SensorStatus, _ *bus.Record) { s.Sensor = "tap\x1b[2J" },
		"no run":           func(s *proto.SensorStatus, _ *bus.Record) { s.Run = proto.ID{} },
		"claims its state": func(s *proto.SensorStatus, _ *bus.Record) { s.State = proto.SensorAway },
		"long version":     func(s *proto.SensorStatus, _ *bus.Record) { s.Version = strings.Repeat("x", 65) },
		"many reasons":     func(s *proto.SensorStatus, _ *bus.Record) { s.Drops = many },
		"too long":         func(_ *proto.SensorStatus, r *bus.Record) { r.Value = make([]byte, proto.MaxSensorRecord+1) },
		"a marker":         func(_ *proto.SensorStatus, r *bus.Record) { r.Control = true },
	}
	for what, change := range tests {
		t.Run(what, func(t *testing.T) {
			svc := New(Config{Bus: bus.Config{Partitions: 8}})
			r := record(change)
			svc.parts[r.Partition] = &partition{book: newBook(&svc.cfg), number: r.Partition}
			svc.take(r, noon)
			if st := svc.Stats(); st.Malformed != 1 || st.Statuses != 0 || len(svc.parts[r.Partition].entries) != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
	svc := New(Config{Bus: bus.Config{Partitions: 8}})
	r := record(func(*proto.SensorStatus, *bus.Record) {})
	svc.parts[r.Partition] = &partition{book: newBook(&svc.cfg)}
	if svc.take(r, noon); svc.Stats().Statuses != 1 {
		t.Error("the good one is not taken")
	}
}

// Before silence is taken for absence the broker must answer.
func TestSilenceOfTheBrokerIsNobodysAbsence(t *testing.T) {
	var broken error
	svc := New(Config{Bus: bus.Config{Partitions: 1}})
	svc.alive = func(context.Context) error { return broken }
	b := newBook(&svc.cfg)
	svc.parts[0] = &partition{book: b}
	b.status(&proto.SensorStatus{Site: "north", Sensor: "tap-1", Run: proto.ID{1}, State: proto.SensorUp}, proto.TimeOf(noon), 0, noon)
	b.take()
	svc.joined.Store(true)
	broken = errors.New("no route to host")
	for i := range 120 {
		svc.tick(t.Context(), noon.Add(time.Duration(i)*time.Second))
	}
	if got := b.take(); len(got) > 0 {
		t.Errorf("while the broker is away: %s", got[0].What)
	}
	if err := svc.Check(); !errors.Is(err, errNoBroker) {
		t.Errorf("check: %v", err)
	}
	broken = nil
	svc.tick(t.Context(), noon.Add(125*time.Second))
	if got := b.take(); len(got) > 0 {
		t.Errorf("right after its return: %s", got[0].What)
	}
	svc.tick(t.Context(), noon.Add(160*time.Second))
	if got := b.take(); len(got) != 1 || got[0].What != whatAway {
		t.Errorf("thirty seconds later: %d events", len(got))
	}
}
