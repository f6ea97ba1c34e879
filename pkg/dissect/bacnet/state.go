package bacnet

import (
	"maps"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// The bounds of one flow.
const (
	maxTold  = 128 // facts whose repetition is noticed
	maxTally = 64  // services and errors that are counted
	every    = 3600 * 1e9
)

// state is what is kept of a flow: what has been told in this hour, and how often
// each side asked for which service and refused what.
type state struct {
	since proto.Time
	told  []uint64 // hashes, a ring
	next  int
	sides [2]tally
}

type tally struct {
	services map[string]uint32
	errors   map[string]uint32
}

func (m *message) state() *state {
	s, _ := m.c.State.(*state)
	if s == nil {
		s = &state{since: m.c.Headers.Time}
		m.c.State = s
	}
	if m.c.Headers.Time-s.since >= every {
		s.summary(m.c)
		s.since, s.told, s.next = m.c.Headers.Time, s.told[:0], 0
	}
	return s
}

// each are the kinds that are told every time; others once an hour, as long as they
// say the same.
var each = map[string]bool{
	"device_communication_control": true, "reinitialize_device": true, "acknowledged": true, "life_safety_operation": true, "event_notification": true,
	"atomic_write_file": true, "delete_object": true, "create_object": true, "write_broadcast_table": true, "delete_foreign_device": true,
	"initialize_routing_table": true, "disconnect_connection": true,
}

// emit tells a fact, if it was not told just so in this hour.
func (m *message) emit(f *dissector.Fact) {
	if m.st == nil || each[f.Kind] {
		m.c.Emit(f)
		return
	}
	b := append([]byte(f.Kind), byte(f.Subject.Side))
	b = append(append(b, f.Subject.Equipment...), f.Subject.IP.String()...)
	for _, a := range f.Attributes {
		b = append(append(append(append(b, a.Name...), '='), a.Value...), 0)
		for _, v := range a.List {
			b = append(append(b, v...), 1)
		}
	}
	sum := xxhash.Sum64(b)
	s := m.st
	if slices.Contains(s.told, sum) {
		return
	}
	if len(s.told) < maxTold {
		s.told = append(s.told, sum)
	} else {
		s.told[s.next] = sum
		s.next = (s.next + 1) % maxTold
	}
	m.c.Emit(f)
}

// count adds to one of a side's tallies.
func count(t *map[string]uint32, name string) {
	if *t == nil {
		*t = map[string]uint32{}
	}
	if (*t)[name] > 0 || len(*t) < maxTally {
		(*t)[name]++
	}
}

func (m *message) asked(name string) {
	if m.st != nil {
		count(&m.st.sides[m.c.Side&1].services, name)
	}
}

func (m *message) refused(name string) {
	if m.st != nil {
		count(&m.st.sides[m.c.Side&1].errors, name)
	}
}

// End tells what came of the flow.
func (s *state) End(c *dissector.Context) { s.summary(c) }

// Size is about how many bytes are kept.
func (s *state) Size() int {
	n := 128 + 8*cap(s.told)
	for i := range s.sides {
		n += 64 * (len(s.sides[i].services) + len(s.sides[i].errors))
	}
	return n
}

// summary tells, of each side, what it asked for and what it refused.
func (s *state) summary(c *dissector.Context) {
	for side := range s.sides {
		t := &s.sides[side]
		if len(t.services)+len(t.errors) == 0 {
			continue
		}
		f := dissector.Fact{Kind: "transactions", Subject: dissector.Subject{Side: dissector.Side(side)}}
		if len(t.services) > 0 {
			f.Attributes.Set("role", "client")
		} else {
			f.Attributes.Set("role", "server")
		}
		f.Attributes.SetList("services", listed(t.services))
		f.Attributes.SetList("errors", listed(t.errors))
		c.Emit(&f)
		*t = tally{}
	}
}

func listed(t map[string]uint32) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		list = append(list, name+":"+strconv.Itoa(int(t[name])))
	}
	return list
}
