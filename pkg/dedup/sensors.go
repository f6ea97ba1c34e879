package dedup

import (
	"cmp"
	"slices"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// The bounds on sensors' clocks, in the broker's time.
const (
	// Quiet is how long a sensor counts for the watermark after its last heartbeat.
	Quiet = 10 * time.Second
	// SuspectAfter is how far a live sensor's clock may be off the broker's, and
	// ClearAfter how near it must come to be believed again: a sensor near the bound
	// does not go back and forth.
	SuspectAfter = 60 * time.Second
	ClearAfter   = 30 * time.Second
	// believeAfter is how long a clock must seem to be behind before that is believed:
	// a record that was long on its way looks the same. One that is ahead cannot be
	// explained so.
	believeAfter = 15 * time.Second
	// longTold is longer than a flow waits to be told.
	longTold = 15 * time.Minute
	// Forget is how long a sensor that says nothing is waited for: what is told later
	// than that, out of its spool, is not told from something new.
	Forget = 15 * time.Minute
	// drift is how much a suspect clock's offset may change before it is taken anew:
	// between two events of one sensor the time stays exact.
	drift = time.Second
)

// Sensor is what is known of one sensor's clock by its heartbeats.
type Sensor struct {
	Name    string
	Clock   proto.Time // all that the sensor saw before has been told; set right by Offset
	Arrival proto.Time // of the last heartbeat, by the broker's clock
	Suspect bool
	Offset  time.Duration // what is added to the times of a suspect sensor, whole milliseconds; else 0
	Sent    proto.Time    // by its own clock, when it handed over the last heartbeat
	Behind  proto.Time    // since when its clock seems to be behind, and that is not believed; 0: it does not
}

// Sensors are the sensors of one site in one time domain, and how far event time
// has come there. The zero value knows none.
type Sensors struct {
	Live   bool     // the domain of live sensors; else that of capture files, whose clocks nobody judges
	List   []Sensor // heard from within Forget, by name
	Passed proto.Time
}

// Beat takes a heartbeat: the sensor's event clock, when the sensor handed it over
// by its own clock (0: not said), and when it arrived by the broker's.
func (s *Sensors) Beat(name string, clock, sent, arrival proto.Time) {
	if s.Live {
		s.List = slices.DeleteFunc(s.List, func(o Sensor) bool { return o.Name != name && arrival.Sub(o.Arrival) > Forget })
	}
	i, known := s.find(name)
	if !known {
		s.List = slices.Insert(s.List, i, Sensor{Name: name})
	}
	o := &s.List[i]
	before := o.Suspect
	if s.Live {
		o.judge(clock, sent, arrival, known)
	}
	at := clock.Add(o.Offset)
	if before || o.Suspect {
		o.Clock = at // it was set, backwards perhaps
	} else {
		o.Clock = max(o.Clock, at)
	}
	o.Arrival, o.Sent = arrival, sent
	low := s.List[0].Clock
	for i := range s.List {
		low = min(low, s.List[i].Clock)
	}
	s.Passed = max(s.Passed, low)
}

// judge decides whether the clock can be believed. A batch out of a spool is old,
// and its heartbeats with it; that it was handed over just now tells that the
// clock is right all the same.
func (o *Sensor) judge(clock, sent, arrival proto.Time, known bool) {
	said := sent
	if said == 0 || clock.Sub(said) > SuspectAfter { // packets of a future that the sensor does not know of itself
		said = clock
	}
	off := arrival.Sub(said)
	bound := SuspectAfter
	if o.Suspect {
		bound = ClearAfter
	}
	switch {
	case off >= -bound && off <= bound:
		o.Suspect, o.Offset, o.Behind = false, 0, 0
		return
	case off > 0 && known && !o.Suspect && !o.setBack(said, sent):
		if o.Behind == 0 {
			o.Behind = arrival
		}
		if arrival.Sub(o.Behind) < believeAfter {
			return
		}
	}
	if !o.Suspect || (off-o.Offset).Abs() > drift {
		o.Offset = off.Truncate(time.Millisecond)
	}
	o.Suspect, o.Behind = true, 0
}

// setBack reports that the sensor's clock was set back since its last heartbeat: a
// record that was only long on its way says a later time than the one before.
func (o *Sensor) setBack(said, sent proto.Time) bool {
	last := o.Clock
	if sent != 0 {
		last = o.Sent
	}
	return last.Sub(said) > ClearAfter
}

func (s *Sensors) find(name string) (int, bool) {
	return slices.BinarySearchFunc(s.List, name, func(o Sensor, n string) int { return cmp.Compare(o.Name, n) })
}

// Hear takes note of a batch between heartbeats, by its header: a clock that was
// put back says none for long. It reports whether that changed what is thought of it.
func (s *Sensors) Hear(name string, sent, arrival proto.Time) bool {
	i, ok := s.find(name)
	if !s.Live || sent == 0 {
		return false
	}
	if !ok { // what comes before its first heartbeat has times as well
		o := Sensor{Name: name, Clock: s.Passed, Arrival: arrival, Sent: sent}
		if o.judge(sent, sent, arrival, false); o.Suspect {
			s.List = slices.Insert(s.List, i, o)
		}
		return o.Suspect
	}
	o := &s.List[i]
	off := arrival.Sub(sent)
	if o.Suspect && (off-o.Offset).Abs() <= drift || !o.Suspect && off.Abs() <= SuspectAfter && o.Behind == 0 {
		return false
	}
	before := *o
	o.judge(sent, sent, arrival, true)
	return *o != before
}

// Shift is what is to be added to a time that a sensor tells in a batch that
// arrived then: 0 unless its clock is suspect. What was seen before the clock was
// put forward or back, and is told after it, has its right time.
func (s *Sensors) Shift(name string, at, arrival proto.Time) time.Duration {
	i, ok := s.find(name)
	if !ok || s.List[i].Offset == 0 {
		return 0
	}
	o := &s.List[i]
	said := o.Clock.Add(-o.Offset) // its own event clock
	switch {
	case o.Offset > 0 && at.Add(o.Offset).Sub(arrival) > SuspectAfter:
		return 0
	case o.Offset < -longTold && said.Sub(at) > -o.Offset/2:
		return 0
	}
	return o.Offset
}

// Several reports whether more than one sensor has been heard lately. As long as
// that is not so, nothing is kept.
func (s *Sensors) Several() bool { return len(s.List) > 1 }

// Watermark is the event time that all sensors heard lately have come to, as of a
// heartbeat that arrived now. A suspect sensor has no part in it, unless there is
// no other: then the broker's clock leads, by which its times were set right.
func (s *Sensors) Watermark(now proto.Time) (at proto.Time, ok bool) {
	if at, ok = s.least(now, false); !ok {
		at, ok = s.least(now, true)
	}
	return at, ok
}

func (s *Sensors) least(now proto.Time, suspect bool) (at proto.Time, ok bool) {
	for i := range s.List {
		o := &s.List[i]
		if o.Suspect != suspect || (s.Live && now.Sub(o.Arrival) > Quiet) {
			continue
		}
		if !ok || o.Clock < at {
			at, ok = o.Clock, true
		}
	}
	return at, ok
}
