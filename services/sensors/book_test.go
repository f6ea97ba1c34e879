package sensors

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// tap is a sensor of a test and the book that hears it. Our clock and the broker's agree.
type tap struct {
	t    *testing.T
	b    *book
	now  time.Time
	s    proto.SensorStatus
	off  time.Duration // of its clock
	said []proto.SensorEvent
}

func newTap(t *testing.T, cfg Config) *tap {
	c := New(cfg).cfg
	p := &tap{t: t, b: newBook(&c), now: noon}
	p.s = proto.SensorStatus{Site: "north", Sensor: "tap-1", Run: proto.ID{1}, State: proto.SensorUp, Version: "1.0"}
	return p
}

func (p *tap) at() proto.Time { return proto.TimeOf(p.now) }

// says lets the sensor say its status.
func (p *tap) says() *tap {
	st := p.s
	p.now = p.now.Add(time.Millisecond)
	p.b.status(&st, p.at(), p.at().Add(p.off), p.now)
	return p
}

// passes lets time pass without a word.
func (p *tap) passes(d time.Duration) *tap {
	for end := p.now.Add(d); p.now.Before(end); {
		p.now = p.now.Add(min(time.Second, end.Sub(p.now)))
		p.b.tick(p.now)
	}
	return p
}

// lives lets the sensor say its status every ten seconds.
func (p *tap) lives(d time.Duration) *tap {
	for end := p.now.Add(d); p.now.Before(end); {
		p.passes(10 * time.Second).says()
	}
	return p
}

// want compares "what severity state" of each event since the last want.
func (p *tap) want(want ...string) *tap {
	p.t.Helper()
	p.b.reconcile(p.now)
	events := p.b.take()
	var got []string
	for _, v := range events {
		got = append(got, fmt.Sprintf("%s %s %s", v.What, v.Severity, v.State))
		if v.Enrolled != p.b.entries[name{v.Site, v.Sensor}].enrolled && len(events) == 1 {
			p.t.Errorf("%s: enrolled %v", v.What, v.Enrolled)
		}
	}
	if !slices.Equal(got, want) {
		p.t.Errorf("%s: said %q, want %q", p.now.Format(time.TimeOnly), got, want)
	}
	p.said = append(p.said, events...)
	return p
}

func TestComesAndGoes(t *testing.T) {
	p := newTap(t, Config{})
	p.says().want("new_run info up").lives(time.Minute).want()
	last := p.at()
	p.passes(30 * time.Second).want()
	p.passes(time.Second).want("away high away")
	away := p.said[len(p.said)-1]
	if away.Since != last || away.StateSince != last {
		t.Errorf("away since %v, state since %v; last heard at %v", away.Since, away.StateSince, last)
	}
	p.passes(time.Hour).want()
	p.says().want("back info up")
	if back := p.said[len(p.said)-1]; back.Closes != away.EventID || back.Evidence["away_s"] != 3631.001 {
		t.Errorf("%+v", back)
	}
	p.passes(31 * time.Second).want("away high away").says().want("back info up")
}

// One that said that it stops is not away until long, and then it is no alarm.
func TestStops(t *testing.T) {
	p := newTap(t, Config{})
	p.says().want("new_run info up")
	p.s.State = proto.SensorStopping
	p.says().want("stopping info stopping").says().want()
	p.passes(10 * time.Minute).want()
	p.passes(time.Second).want("away low away")
	p.s.State, p.s.Run = proto.SensorUp, proto.ID{2}
	p.says().want("back info up", "new_run info up")
}

func TestStopsAndComesBackInTime(t *testing.T) {
	p := newTap(t, Config{})
	p.says().want("new_run info up")
	p.s.State = proto.SensorStopping
	p.says().want("stopping info stopping").passes(2 * time.Minute)
	p.s.State, p.s.Run, p.s.Version = proto.SensorUp, proto.ID{2}, "1.1"
	p.says().want("new_run info up", "version info up")
}

// A run that ends without a word has crashed.
func TestCrashes(t *testing.T) {
	p := newTap(t, Config{})
	p.says().want("new_run info up")
	p.s.Run = proto.ID{2}
	p.says().want("new_run low up")
}

func TestClock(t *testing.T) {
	p := newTap(t, Config{})
	p.off = 60 * time.Second
	p.says().want("new_run info up")
	p.off = -61 * time.Second
	p.says().want("clock_suspect medium suspect").lives(time.Minute).want()
	if off := p.said[1].Evidence["clock_offset_s"]; off != -61.0 {
		t.Errorf("offset %v", off)
	}
	p.off = -50 * time.Second // it must come nearer than that
	p.says().want()
	p.off = time.Second
	p.says().want("clock_right info up")
	p.off = time.Hour
	p.says().want("clock_suspect medium suspect").passes(31 * time.Second).want("away high away")
	p.says().want("back info suspect")
}

// A status without the sender's clock does not speak about it.
func TestClockNotSaid(t *testing.T) {
	p := newTap(t, Config{})
	st := p.s
	p.b.status(&st, p.at(), 0, p.now)
	p.want("new_run info up")
}

func TestDrops(t *testing.T) {
	p := newTap(t, Config{})
	p.s.Interfaces = []proto.SensorInterface{{Name: "eth0", KernelDrops: 5}}
	p.says().want("new_run info up", "drops medium up") // of this run, before it was heard
	p.lives(9 * time.Minute).want()
	p.s.Drops = map[string]uint64{"memory": 3}
	p.says().want()
	p.lives(590 * time.Second).want()
	p.lives(20 * time.Second).want("drops_over info up")
	p.s.Interfaces = []proto.SensorInterface{{Name: "eth0", KernelDrops: 7}}
	p.s.Packets = 100
	p.says().want("drops medium up")
	if v := p.said[len(p.said)-1].Evidence; v["kernel_drops"] != uint64(2) || v["other_drops"] != uint64(0) || v["packets"] != uint64(100) {
		t.Errorf("evidence %v", v)
	}
}

func TestSpoolAndConfiguration(t *testing.T) {
	p := newTap(t, Config{})
	p.says().want("new_run info up")
	p.s.SpoolRecords = 7
	p.says().says().want("spooling low up")
	p.s.SpoolRecords = 0
	p.says().says().want("spool_drained info up")
	p.s.ConfigVersion = 3
	p.says().says().want("config_applied info up")
	p.s.ConfigError = "version 4: no such interface: eth9"
	p.says().says().want("config_error medium up")
	p.s.ConfigVersion, p.s.ConfigError = 5, ""
	p.says().says().want("config_applied info up")
	if v := p.said[len(p.said)-1]; v.Closes != p.said[len(p.said)-2].EventID {
		t.Errorf("%+v closes nothing", v)
	}
}

// Two processes under one name.
func TestContested(t *testing.T) {
	p := newTap(t, Config{})
	p.says().want("new_run info up")
	p.s.Run = proto.ID{2}
	p.says().want("new_run low up")
	for _, run := range []byte{1, 2, 1, 2} {
		p.s.Run = proto.ID{run}
		p.passes(5 * time.Second).says()
	}
	p.want("contested high up")
	p.lives(11 * time.Minute).want("contested_over info up")
	for run := range byte(40) { // restarts are none
		p.s.Run = proto.ID{100 + run}
		p.says()
	}
	if n := len(p.b.entries[name{"north", "tap-1"}].replaced); n > maxReplaced {
		t.Errorf("%d former runs are kept", n)
	}
	for _, v := range p.b.take() {
		if v.What != "new_run" {
			t.Errorf("said %s", v.What)
		}
	}
}

func TestEnrolment(t *testing.T) {
	p := newTap(t, Config{RequireEnrolment: true})
	p.says().want("new_run info up", "unknown high up").lives(time.Minute).want()
	p.b.enrol(&proto.SensorEnrolment{Time: p.at(), Site: "north", Sensor: "tap-1", Principal: "User:tap-1"})
	p.want("enrolled info up").lives(time.Minute).want()
	if v := p.said[2]; v.Closes != p.said[1].EventID || v.Evidence["principal"] != "User:tap-1" {
		t.Errorf("%+v", v)
	}
	p.b.enrol(&proto.SensorEnrolment{Time: p.at(), Site: "north", Sensor: "tap-1", Principal: "User:tap-1", Revoked: true})
	p.want("revoked low up")
	p.passes(10 * time.Second).says().want("unknown high up")
	// Who is enrolled and was never heard is expected.
	p.b.enrol(&proto.SensorEnrolment{Time: p.at(), Site: "north", Sensor: "tap-2"})
	p.passes(10 * time.Second).says().want("enrolled info expected")
	p.b.enrol(&proto.SensorEnrolment{Time: p.at(), Site: "north", Sensor: "tap-3", Revoked: true})
	p.want()
}

func TestEnrolmentNotRequired(t *testing.T) {
	newTap(t, Config{}).says().want("new_run info up")
}

// Nobody is away while the broker is.
func TestDeaf(t *testing.T) {
	p := newTap(t, Config{})
	p.says().want("new_run info up")
	for range 60 {
		p.now = p.now.Add(time.Second)
		p.b.deaf(p.now)
	}
	p.passes(30 * time.Second).want()
	p.passes(time.Second).want("away high away")
}

// Whoever can write could invent sensors: there is an end to it, and it is counted.
func TestStrangersAreBounded(t *testing.T) {
	p := newTap(t, Config{})
	for i := range maxStrangers + 10 {
		st := p.s
		st.Sensor = fmt.Sprintf("x%d", i)
		p.b.status(&st, p.at(), 0, p.now)
	}
	if len(p.b.entries) != maxStrangers || p.b.refused != 10 {
		t.Errorf("%d entries, %d refused", len(p.b.entries), p.b.refused)
	}
	p.b.enrol(&proto.SensorEnrolment{Site: "north", Sensor: "tap-1"})
	p.b.take()
	if p.says(); p.b.entries[name{"north", "tap-1"}] == nil {
		t.Error("an enrolled sensor finds no room")
	}
}

// restored makes a second book out of what the topics hold: events, compacted to
// the last of each key, and the statuses.
func (p *tap) restored(statuses []proto.SensorStatus, arrivals []proto.Time, events []proto.SensorEvent) *book {
	b := newBook(p.b.cfg)
	for _, r := range p.b.register {
		b.enrol(&r)
	}
	last := map[string]int{}
	for i, v := range events {
		last[v.What] = i
	}
	for i := range events {
		if last[events[i].What] == i {
			b.restoreEvent(&events[i], p.now)
		}
	}
	for i := range statuses {
		b.restoreStatus(&statuses[i], arrivals[i], p.now)
	}
	return b
}

// Wherever the service is killed, the one after it says what is missing and
// nothing twice: the same life, told by one service and by one that is restarted
// after each status, before and after its commit.
func TestRestartSaysNothingTwice(t *testing.T) {
	life := func(p *tap, each func()) {
		step := func(d time.Duration, change func(s *proto.SensorStatus)) {
			p.passes(d)
			if change != nil {
				change(&p.s)
				p.says()
			}
			each()
		}
		beat := func(*proto.SensorStatus) {}
		step(0, beat)
		step(10*time.Second, func(s *proto.SensorStatus) { s.Drops = map[string]uint64{"x": 1} })
		step(10*time.Second, func(s *proto.SensorStatus) { s.SpoolRecords = 1; s.ConfigError = "bad" })
		step(10*time.Second, func(s *proto.SensorStatus) { s.SpoolRecords = 0 })
		p.off = time.Hour
		step(10*time.Second, beat)
		step(time.Minute, nil)
		step(time.Minute, nil)
		p.off = 0
		step(10*time.Second, func(s *proto.SensorStatus) { s.ConfigError = ""; s.ConfigVersion = 2 })
		step(10*time.Second, func(s *proto.SensorStatus) { s.State = proto.SensorStopping })
		step(10*time.Second, func(s *proto.SensorStatus) {
			s.State = proto.SensorUp
			s.Run = proto.ID{2}
			s.Version = "2"
			s.Drops = nil
		})
		step(10*time.Second, func(s *proto.SensorStatus) { s.Run = proto.ID{1} })
		p.b.enrol(&proto.SensorEnrolment{Time: p.at(), Site: "north", Sensor: "tap-1"})
		step(10*time.Second, beat)
		step(10*time.Second, beat)
	}
	list := func(events []proto.SensorEvent) string {
		var s []string
		for _, v := range events {
			s = append(s, fmt.Sprintf("%s %s since %v, %s since %v, enrolled %v closes %s", v.EventID, v.What, v.Since, v.State, v.StateSince, v.Enrolled, v.Closes))
		}
		return strings.Join(s, "\n")
	}
	cfg := Config{RequireEnrolment: true}
	one := newTap(t, cfg)
	var want []proto.SensorEvent
	life(one, func() { one.b.reconcile(one.now); want = append(want, one.b.take()...) })
	if len(want) < 15 {
		t.Fatalf("the life is dull:\n%s", list(want))
	}
	for _, lost := range []bool{false, true} { // the commit after each step
		p := newTap(t, cfg)
		var got []proto.SensorEvent
		var statuses []proto.SensorStatus
		var arrivals []proto.Time
		heard := func() (*proto.SensorStatus, proto.Time) {
			if e := p.b.entries[name{"north", "tap-1"}]; e != nil && e.status != nil {
				return e.status, e.arrival
			}
			return nil, 0
		}
		life(p, func() {
			st, arrival := heard()
			fresh := st != nil && (len(arrivals) == 0 || arrivals[len(arrivals)-1] != arrival)
			p.b.reconcile(p.now)
			events := p.b.take()
			if lost { // nothing of it was committed: it is done again
				p.b = p.restored(statuses, arrivals, got)
				if fresh {
					again := *st
					p.b.status(&again, arrival, arrival.Add(p.off), p.now)
				}
				p.b.reconcile(p.now)
				for e := p.b.entries[name{"north", "tap-1"}]; e != nil && e.heard.Equal(p.now) && !fresh; {
					e.heard = e.arrival.Std() // silence goes on where the test's clock has counted it
				}
				p.b.tick(p.now)
				events = p.b.take()
			}
			got = append(got, events...)
			if fresh {
				statuses, arrivals = append(statuses, *st), append(arrivals, arrival)
			}
			p.b = p.restored(statuses, arrivals, got)
		})
		if list(got) != list(want) {
			t.Errorf("commits lost %v:\n%s\nwant:\n%s", lost, list(got), list(want))
		}
	}
}

// A broker that is killed while it ends a transaction may keep the events and lose
// the offsets: the same statuses are read again, and nothing is said again.
func TestStatusesReadAgain(t *testing.T) {
	p := newTap(t, Config{RequireEnrolment: true})
	p.s.SpoolRecords, p.s.Drops = 3, map[string]uint64{"x": 1}
	p.off = time.Hour
	p.says()
	first, at, sent := p.s, p.at(), p.at().Add(p.off)
	p.s.SpoolRecords, p.s.Version = 0, "1.1"
	p.off = 0
	p.says()
	events := p.b.take()
	if len(events) != 8 {
		t.Fatalf("%d events", len(events))
	}
	b := p.restored(nil, nil, events)
	b.status(&first, at, sent, p.now)
	second := p.s
	b.status(&second, p.at(), p.at(), p.now)
	for _, v := range b.take() {
		t.Errorf("said again: %s", v.What)
	}
}
