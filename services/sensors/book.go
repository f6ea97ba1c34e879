package sensors

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// The bounds that are nobody's setting.
const (
	clockBound = 60 * time.Second // further off, a clock is suspect: the bound that folds have
	clockGood  = 45 * time.Second // and nearer it is right again: one at the bound must not go to and fro
	calmAfter  = 10 * time.Minute // without drops, or a second voice, that is over

	maxStrangers = 1000 // sensors of a partition that are not enrolled: whoever can write may invent names
	maxReplaced  = 8    // former runs of a sensor that are remembered
)

type name struct{ site, sensor string }

// entry is a sensor as it stands.
type entry struct {
	name
	status   *proto.SensorStatus // the latest; nil: never heard
	arrival  proto.Time          // of it, by the broker's clock
	heard    time.Time           // when we read it, or began to listen
	replaced []proto.ID          // runs that others have replaced

	enrolled bool
	open     map[string]*matter  // what lasts, by event
	said     map[string]proto.ID // the latest event of each kind
	state    string
	since    proto.Time // of the state
}

// matter is something that lasts.
type matter struct {
	since proto.Time
	seen  time.Time // last seen to go on
}

// book holds the sensors of one partition. It does no I/O: what happens comes in
// with its times, and what is to be said comes out. It is for one goroutine.
type book struct {
	cfg      *Config
	entries  map[name]*entry
	register map[name]proto.SensorEnrolment
	out      []proto.SensorEvent
	refused  uint64 // statuses of strangers beyond the bound
}

func newBook(cfg *Config) *book {
	return &book{cfg: cfg, entries: map[name]*entry{}, register: map[name]proto.SensorEnrolment{}}
}

// take gives the events that are to be said.
func (b *book) take() []proto.SensorEvent {
	out := b.out
	b.out = nil
	return out
}

// entry finds or makes the entry of a sensor; nil when there are too many strangers.
func (b *book) entry(n name, now time.Time) *entry {
	if e := b.entries[n]; e != nil {
		return e
	}
	if !b.registered(n) {
		strangers := 0
		for other := range b.entries {
			if !b.registered(other) {
				strangers++
			}
		}
		if strangers >= maxStrangers {
			return nil
		}
	}
	e := &entry{name: n, heard: now, open: map[string]*matter{}, said: map[string]proto.ID{}}
	b.entries[n] = e
	return e
}

func (b *book) registered(n name) bool {
	r, ok := b.register[n]
	return ok && !r.Revoked
}

// restoreEvent takes what has been said before.
func (b *book) restoreEvent(v *proto.SensorEvent, now time.Time) {
	k, ok := kinds[v.What]
	if !ok {
		return // of a newer version
	}
	if e := b.entry(name{v.Site, v.Sensor}, now); e != nil {
		e.apply(v, k, now)
	}
}

// apply makes an event's content the entry's.
func (e *entry) apply(v *proto.SensorEvent, k kind, now time.Time) {
	if k.closes != "" {
		delete(e.open, k.closes)
	}
	if k.opens {
		e.open[v.What] = &matter{since: v.Since, seen: now}
	}
	e.said[v.What] = v.EventID
	switch v.What {
	case whatEnrolled:
		e.enrolled = true
	case whatRevoked:
		e.enrolled = false
	}
	if v.State != "" {
		e.state, e.since = v.State, v.StateSince
	}
}

// restoreStatus takes a status from which everything has been concluded before.
func (b *book) restoreStatus(s *proto.SensorStatus, arrival proto.Time, now time.Time) {
	if e := b.entry(name{s.Site, s.Sensor}, now); e != nil {
		e.hear(s, arrival, now)
	}
}

// hear makes a status the latest. It gives the one before, and whether this one's
// run is one that another had replaced already: then two processes speak in turn.
func (e *entry) hear(s *proto.SensorStatus, arrival proto.Time, now time.Time) (before *proto.SensorStatus, contested bool) {
	before = e.status
	if before != nil && before.Run != s.Run {
		contested = slices.Contains(e.replaced, s.Run)
		e.replaced = slices.DeleteFunc(e.replaced, func(id proto.ID) bool { return id == s.Run || id == before.Run })
		e.replaced = append(e.replaced, before.Run)
		if n := len(e.replaced); n > maxReplaced {
			e.replaced = slices.Delete(e.replaced, 0, n-maxReplaced)
		}
	}
	e.status, e.arrival, e.heard = s, arrival, now
	return before, contested
}

// status takes what a sensor says: arrival by the broker's clock, sent by the
// sensor's (0: not said), now by ours.
func (b *book) status(s *proto.SensorStatus, arrival, sent proto.Time, now time.Time) {
	e := b.entry(name{s.Site, s.Sensor}, now)
	if e == nil {
		b.refused++
		return
	}
	from := len(b.out)
	before, contested := e.hear(s, arrival, now)
	if away := e.open[whatAway]; away != nil {
		b.say(e, whatBack, away.since, now, proto.Object{"away_s": arrival.Sub(away.since).Seconds()})
	}
	b.voices(e, before, contested, now)
	if before != nil && before.Run != s.Run {
		before = nil // its counters are of another run
	}
	b.clock(e, sent, now)
	b.losses(e, before, now)
	b.spool(e, now)
	b.configured(e, before, now)
	if s.State == proto.SensorStopping && (before == nil || before.State != proto.SensorStopping) {
		b.say(e, whatStopping, arrival, now, proto.Object{"run": s.Run.String()})
	}
	if b.cfg.RequireEnrolment && !b.registered(e.name) {
		b.say(e, whatUnknown, arrival, now, proto.Object{"version": s.Version, "run": s.Run.String()})
	}
	b.settle(e, from, arrival)
}

// voices tells of new processes, new versions, and of two that speak in turn.
func (b *book) voices(e *entry, before *proto.SensorStatus, contested bool, now time.Time) {
	s := e.status
	switch {
	case contested:
		b.say(e, whatContested, e.arrival, now, proto.Object{"run": s.Run.String(), "other_run": before.Run.String(), "version": s.Version, "other_version": before.Version})
	case before == nil:
		b.say(e, whatNewRun, e.arrival, now, proto.Object{"run": s.Run.String(), "version": s.Version})
	case before.Run != s.Run:
		stopped := before.State == proto.SensorStopping
		v := b.say(e, whatNewRun, e.arrival, now, proto.Object{"run": s.Run.String(), "version": s.Version, "other_run": before.Run.String(), "said_that_it_stops": stopped})
		if v != nil && !stopped {
			v.Severity = proto.SeverityLow
		}
	}
	if before != nil && before.Version != s.Version && !contested {
		b.say(e, whatVersion, e.arrival, now, proto.Object{"version": s.Version, "before": before.Version})
	}
	if m := e.open[whatContested]; m != nil && now.Sub(m.seen) > calmAfter {
		b.say(e, whatContestedOver, m.since, now, nil)
	}
}

// clock judges the sensor's clock by the broker's. Sent is of the moment of
// sending, so a status that lay about would seem to be of a slow clock; statuses
// do not lie about (services/capture).
func (b *book) clock(e *entry, sent proto.Time, now time.Time) {
	if sent == 0 {
		return
	}
	off := sent.Sub(e.arrival)
	switch m := e.open[whatSuspect]; {
	case m == nil && off.Abs() > clockBound:
		b.say(e, whatSuspect, e.arrival, now, proto.Object{"clock_offset_s": off.Seconds()})
	case m != nil && off.Abs() < clockGood:
		b.say(e, whatRight, m.since, now, proto.Object{"clock_offset_s": off.Seconds()})
	}
}

// losses tells when drops begin to rise, and when they have not for long. before
// is the status before of the same run, or nil.
func (b *book) losses(e *entry, before *proto.SensorStatus, now time.Time) {
	s := e.status
	kernel, other, packets := s.KernelDrops(), s.OtherDrops(), s.Packets
	if before != nil {
		kernel, other, packets = rise(kernel, before.KernelDrops()), rise(other, before.OtherDrops()), rise(packets, before.Packets)
	}
	if kernel+other > 0 {
		b.say(e, whatDrops, e.arrival, now, proto.Object{"kernel_drops": kernel, "other_drops": other, "packets": packets})
		return
	}
	if m := e.open[whatDrops]; m != nil && now.Sub(m.seen) > calmAfter {
		b.say(e, whatDropsOver, m.since, now, nil)
	}
}

func rise(now, before uint64) uint64 { return max(now, before) - before }

func (b *book) spool(e *entry, now time.Time) {
	s := e.status
	if s.SpoolRecords > 0 {
		b.say(e, whatSpooling, e.arrival, now, proto.Object{"spool_records": s.SpoolRecords, "spool_bytes": s.SpoolBytes})
		return
	}
	if m := e.open[whatSpooling]; m != nil {
		b.say(e, whatDrained, m.since, now, nil)
	}
}

func (b *book) configured(e *entry, before *proto.SensorStatus, now time.Time) {
	s := e.status
	evidence := proto.Object{"config_version": s.ConfigVersion}
	if s.ConfigError != "" {
		evidence["config_error"] = s.ConfigError
		b.say(e, whatConfigError, e.arrival, now, evidence)
		return
	}
	if m := e.open[whatConfigError]; m != nil {
		b.say(e, whatConfigured, m.since, now, evidence)
	} else if before != nil && before.ConfigVersion != s.ConfigVersion {
		b.say(e, whatConfigured, e.arrival, now, evidence)
	}
}

// enrol takes a line of the register; reconcile tells of it.
func (b *book) enrol(r *proto.SensorEnrolment) {
	b.register[name{r.Site, r.Sensor}] = *r
}

// reconcile tells which sensors have been enrolled or revoked since it was told last.
func (b *book) reconcile(now time.Time) {
	for _, n := range sortedNames(b.register) {
		r := b.register[n]
		e := b.entries[n]
		if e == nil && r.Revoked {
			continue
		}
		if e == nil {
			e = b.entry(n, now)
		}
		from := len(b.out)
		switch {
		case !r.Revoked && !e.enrolled:
			b.say(e, whatEnrolled, r.Time, now, proto.Object{"principal": r.Principal})
		case r.Revoked && e.enrolled:
			b.say(e, whatRevoked, r.Time, now, proto.Object{"principal": r.Principal})
		}
		b.settle(e, from, r.Time)
	}
}

// silent tells whether tick would find somebody away.
func (b *book) silent(now time.Time) bool {
	for _, e := range b.entries {
		if b.missing(e, now) {
			return true
		}
	}
	return false
}

func (b *book) missing(e *entry, now time.Time) bool {
	if e.status == nil || e.open[whatAway] != nil {
		return false
	}
	bound := b.cfg.AwayAfter
	if e.status.State == proto.SensorStopping {
		bound = b.cfg.StoppedAfter
	}
	return now.Sub(e.heard) > bound
}

// tick concludes who is away.
func (b *book) tick(now time.Time) {
	for _, n := range sortedNames(b.entries) {
		e := b.entries[n]
		if !b.missing(e, now) {
			continue
		}
		from := len(b.out)
		v := b.say(e, whatAway, e.arrival, now, proto.Object{"last_seen": e.arrival.String(), "state": e.state})
		if v != nil && e.status.State == proto.SensorStopping {
			v.Severity = proto.SeverityLow
		}
		b.settle(e, from, e.arrival)
	}
}

// deaf says that nothing could be heard until now: everybody's silence begins anew.
func (b *book) deaf(now time.Time) {
	for _, e := range b.entries {
		e.heard = now
	}
}

// say makes an event, unless it has been said. What is given can be changed
// until the next call of the book.
func (b *book) say(e *entry, what string, since proto.Time, now time.Time, evidence proto.Object) *proto.SensorEvent {
	k := kinds[what]
	if m := e.open[what]; m != nil {
		m.seen = now
		return nil
	}
	v := proto.SensorEvent{
		Time: proto.TimeOf(now), EventID: eventID(e.name, what, since), Site: e.site, Sensor: e.sensor, What: what, Since: since,
		Severity: k.severity, Title: "Sensor " + e.sensor + " of " + e.site + " " + k.title, Evidence: evidence,
	}
	if e.said[what] == v.EventID {
		return nil // committed without the offsets of what it follows from, which is read again
	}
	if m := e.open[k.closes]; m != nil {
		v.Closes = eventID(e.name, k.closes, m.since)
	}
	e.apply(&v, k, now)
	b.out = append(b.out, v)
	return &b.out[len(b.out)-1]
}

// eventID follows from content, so that an event that is concluded again has the
// id it had. since comes from the broker, not from our clock.
func eventID(n name, what string, since proto.Time) proto.ID {
	return proto.HashID("sensor_event", []byte(n.site), []byte(n.sensor), []byte(what), binary.BigEndian.AppendUint64(nil, uint64(since)))
}

// settle finds the entry's state, and writes it into the events made since from.
func (b *book) settle(e *entry, from int, at proto.Time) {
	if state := e.conclude(); state != e.state {
		e.state, e.since = state, at
	}
	for i := from; i < len(b.out); i++ {
		b.out[i].State, b.out[i].StateSince, b.out[i].Enrolled = e.state, e.since, e.enrolled
	}
}

func (e *entry) conclude() string {
	switch {
	case e.open[whatAway] != nil:
		return proto.SensorAway
	case e.status == nil:
		return proto.SensorExpected
	case e.status.State == proto.SensorStopping:
		return proto.SensorStopping
	case e.open[whatSuspect] != nil:
		return proto.SensorSuspect
	}
	return proto.SensorUp
}

// sortedNames gives an order, so that events come in the same one each time.
func sortedNames[V any](m map[name]V) []name {
	list := make([]name, 0, len(m))
	for n := range m {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b name) int {
		return cmp.Or(cmp.Compare(a.site, b.site), cmp.Compare(a.sensor, b.sensor))
	})
	return list
}
