package behaviour

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// Window is how long after its first sign a device counts as new.
const Window = 10 * time.Minute

// The bounds of a sketch.
const (
	maxMarks = 32 // kinds of events; those that came first stay
	maxFacts = 48 // hashes of announced facts; the smallest stay, which is a fair sample of them
	maxTimes = 4  // earliest times of a kind
)

// Sketch is what a device did within Window of its first sign. It does not depend
// on the order in which flows and observations are added to it, as long as the
// first of them is not later than others by more than the window.
type Sketch struct {
	first proto.Time
	marks []mark   // sorted by key
	facts []uint32 // sorted hashes

	names map[uint32]string // what hashes stand for, in training only
}

// mark is one kind of event: a protocol's message, or flows to a port.
type mark struct {
	key   uint32
	count uint64
	times []int64 // milliseconds; the earliest, sorted

	flow                  bool
	outPackets, inPackets uint64
	outPayload, inPayload uint64
	minOut, maxOut        uint64 // payload of a flow's first part, over the flows
	minIn, maxIn          uint64
	parts                 uint64 // first parts
}

// Empty reports that nothing has been seen.
func (s *Sketch) Empty() bool { return s.first == 0 }

// Begins is the time of the first sign.
func (s *Sketch) Begins() proto.Time { return s.first }

// Ends is when the device stops being new.
func (s *Sketch) Ends() proto.Time { return s.first.Add(Window) }

// begin takes the time of an event in, and reports whether the event counts.
func (s *Sketch) begin(at proto.Time) bool {
	if s.first == 0 {
		s.first = at
	}
	if at > s.first.Add(Window) || at < s.first.Add(-Window) {
		return false
	}
	s.first = min(s.first, at)
	return true
}

// see finds the mark of a kind, or makes it.
func (s *Sketch) see(name []byte, at proto.Time) *mark {
	key, ms := hash(name), int64(at)/1e6
	i, found := slices.BinarySearchFunc(s.marks, key, func(m mark, k uint32) int { return cmp.Compare(m.key, k) })
	if !found {
		if len(s.marks) >= maxMarks {
			last := s.latest()
			if s.marks[last].times[0] <= ms {
				return nil
			}
			s.marks = slices.Delete(s.marks, last, last+1)
			if last < i {
				i--
			}
		}
		s.marks = slices.Insert(s.marks, i, mark{key: key})
		s.call(key, name)
	}
	m := &s.marks[i]
	m.note(ms)
	return m
}

// apart is how far from each other two events must be to be told apart, in
// milliseconds: frames that are sent again at once, or seen twice, are one.
const apart = 10

// note keeps a time among the earliest, one of each slot of apart.
func (m *mark) note(ms int64) {
	i, found := slices.BinarySearchFunc(m.times, ms/apart, func(t, slot int64) int { return cmp.Compare(t/apart, slot) })
	switch {
	case found:
		m.times[i] = min(m.times[i], ms)
	case i < maxTimes:
		m.times = slices.Insert(m.times, i, ms)
		m.times = m.times[:min(len(m.times), maxTimes)]
	}
}

// latest is the mark that began last.
func (s *Sketch) latest() int {
	at := 0
	for i := range s.marks {
		a, b := &s.marks[i], &s.marks[at]
		if cmp.Or(cmp.Compare(a.times[0], b.times[0]), cmp.Compare(a.key, b.key)) > 0 {
			at = i
		}
	}
	return at
}

// fact puts an announced fact down, and reports whether it is new. The lowest byte
// of its hash is the attribute's, so that of a value that nobody has said before it
// is known still what it is a value of.
func (s *Sketch) fact(attribute byte, name []byte) bool {
	h := hash(name)&^0xff | uint32(attribute)
	i, found := slices.BinarySearch(s.facts, h)
	if found || i >= maxFacts {
		return false
	}
	s.facts = slices.Insert(s.facts, i, h)
	s.facts = s.facts[:min(len(s.facts), maxFacts)]
	s.call(h, name)
	return true
}

func (s *Sketch) call(h uint32, name []byte) {
	if s.names != nil {
		s.names[h] = string(name)
	}
}

// hash is FNV-1a, 32 bits (G. Fowler, L. C. Noll, K.-P. Vo).
func hash(b []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

// AppendTo encodes the sketch.
func (s *Sketch) AppendTo(b []byte) []byte {
	b = stream.AppendInt(b, int64(s.first))
	base := int64(s.first) / 1e6
	b = stream.AppendUint(b, uint64(len(s.marks)))
	for i := range s.marks {
		m := &s.marks[i]
		head := uint64(len(m.times)) << 1
		if m.flow {
			head |= 1
		}
		b = append(b, byte(m.key>>24), byte(m.key>>16), byte(m.key>>8), byte(m.key))
		b = stream.AppendUint(stream.AppendUint(b, head), m.count)
		for _, t := range m.times {
			b = stream.AppendInt(b, t-base)
		}
		if m.flow {
			for _, v := range m.sums() {
				b = stream.AppendUint(b, *v)
			}
		}
	}
	b = stream.AppendUint(b, uint64(len(s.facts)))
	for _, h := range s.facts {
		b = append(b, byte(h>>24), byte(h>>16), byte(h>>8), byte(h))
	}
	return b
}

func (m *mark) sums() [9]*uint64 {
	return [...]*uint64{&m.outPackets, &m.inPackets, &m.outPayload, &m.inPayload, &m.minOut, &m.maxOut, &m.minIn, &m.maxIn, &m.parts}
}

var errSketch = errors.New("a kind of event without a time")

// Parse decodes the sketch.
func (s *Sketch) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*s = Sketch{first: proto.Time(d.Int())}
	base := int64(s.first) / 1e6
	for n := d.Uint(); n > 0 && d.More(); n-- {
		m := mark{key: readHash(d)}
		head := d.Uint()
		m.count, m.flow = d.Uint(), head&1 != 0
		for range min(head>>1, maxTimes) {
			m.times = append(m.times, base+d.Int())
		}
		if len(m.times) == 0 {
			return errSketch
		}
		if m.flow {
			for _, v := range m.sums() {
				*v = d.Uint()
			}
		}
		s.marks = append(s.marks, m)
	}
	for n := d.Uint(); n > 0 && d.More(); n-- {
		s.facts = append(s.facts, readHash(d))
	}
	return d.Err()
}

func readHash(d *stream.Decoder) uint32 {
	var b [4]byte
	d.Fixed(b[:])
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
