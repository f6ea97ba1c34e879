package behaviour

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/proto"
)

// Group is a set of kinds of features.
type Group uint8

// The kinds of features.
const (
	// Timing is what headers and clocks tell: kinds of messages and flows, their
	// order, intervals, counts and sizes. Nothing of any content.
	Timing Group = 1 << iota
	// Content is what devices announce: vendor classes, models, agents, domains.
	Content
	// Vendor is the first half of the MAC, which IEEE gave to a maker.
	Vendor
)

// Sample is a device whose type is known.
type Sample struct {
	Label  string
	Sketch Sketch
	MAC    proto.MAC
	Name   string // where it comes from, for messages alone
}

// NewSketch makes a sketch that remembers what its hashes stand for, as training
// needs it.
func NewSketch() Sketch { return Sketch{names: map[uint32]string{}} }

// facts are the hashes of what is announced, with the maker's where asked for.
func (x *Sample) facts(g Group) []uint32 {
	var list []uint32
	if g&Content != 0 {
		list = append(list, x.Sketch.facts...)
	}
	if g&Vendor != 0 && !x.MAC.IsZero() {
		name := []byte("oui " + x.MAC.String()[:8])
		list = append(list, hash(name))
		x.Sketch.call(hash(name), name)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// term is one word of a vocabulary: a kind of event, or an announced fact.
type term struct {
	key  uint32
	name string
	flow bool
}

// columns of a kind of event.
const (
	colCount = iota
	colFirst // ms from the anchor to the first
	colSecond
	colThird
	colGap1 // ms from the first to the second
	colGap2
	colGap3
	colRank   // how many kinds came before
	colBefore // ms since the event of another kind before its first
	markColumns
	colOutPackets = iota - 1
	colInPackets
	colOut
	colIn
	colMinOut
	colMaxOut
	colMinIn
	colMaxIn
	flowColumns
)

var columnNames = [...]string{
	"count", "ms to the first", "ms to the second", "ms to the third", "ms between first and second", "ms between second and third",
	"ms between third and fourth", "kinds before it", "ms after the kind before it",
	"packets sent", "packets received", "bytes sent", "bytes received",
	"least bytes sent in one", "most bytes sent in one", "least bytes received in one", "most bytes received in one",
}

// general columns, in front of all others.
const (
	colKinds = iota
	colFlowKinds
	colEvents
	commonColumns
)

var commonNames = [...]string{"kinds of events", "kinds of flows", "events"}

// vocabulary says what stands in which column.
type vocabulary struct {
	group Group
	marks []term // sorted by key
	facts []term // sorted by key
	at    []int  // first column of each mark
	width int
}

// minSeen is in how many samples a kind or fact must be to become a feature: what
// is in one alone would name a capture.
const minSeen = 2

// newVocabulary collects what the samples have in common.
func newVocabulary(samples []*Sample, g Group) *vocabulary {
	v := &vocabulary{group: g}
	marks, facts, names, flows := map[uint32]int{}, map[uint32]int{}, map[uint32]string{}, map[uint32]bool{}
	for _, x := range samples {
		if g&Timing != 0 {
			for i := range x.Sketch.marks {
				m := &x.Sketch.marks[i]
				marks[m.key]++
				flows[m.key] = m.flow
			}
		}
		for _, h := range x.facts(g) {
			facts[h]++
		}
		for h, name := range x.Sketch.names {
			names[h] = name
		}
	}
	terms := func(seen map[uint32]int) (list []term) {
		for h, n := range seen {
			if n >= minSeen {
				list = append(list, term{key: h, name: names[h], flow: flows[h]})
			}
		}
		slices.SortFunc(list, func(a, b term) int { return cmp.Compare(a.key, b.key) })
		return list
	}
	v.marks, v.facts = terms(marks), terms(facts)
	v.layout()
	return v
}

func (v *vocabulary) layout() {
	v.width, v.at = 0, nil
	if v.group&Timing != 0 {
		v.width = commonColumns
	}
	for i := range v.marks {
		v.at = append(v.at, v.width)
		v.width += markColumns
		if v.marks[i].flow {
			v.width += flowColumns - markColumns
		}
	}
	v.width += len(v.facts)
}

func find(list []term, key uint32) int {
	i, ok := slices.BinarySearchFunc(list, key, func(t term, k uint32) int { return cmp.Compare(t.key, k) })
	if !ok {
		return -1
	}
	return i
}

// absent is the value of a column of an event that did not happen.
const absent = -1

// vector writes a sample in columns.
func (v *vocabulary) vector(x *Sample) []float32 {
	row := make([]float32, v.width)
	if v.group&Timing != 0 {
		v.timing(&x.Sketch, row)
	}
	facts := row[v.width-len(v.facts):]
	for _, h := range x.facts(v.group) {
		if i := find(v.facts, h); i >= 0 {
			facts[i] = 1
		}
	}
	return row
}

func (v *vocabulary) timing(s *Sketch, row []float32) {
	for i := range row[:v.width-len(v.facts)] {
		row[i] = absent
	}
	var events, flows uint64
	firsts := make([]int64, 0, len(s.marks))
	for i := range s.marks {
		events += s.marks[i].count
		if s.marks[i].flow {
			flows++
		}
		firsts = append(firsts, s.marks[i].times[0])
	}
	slices.Sort(firsts)
	row[colKinds], row[colFlowKinds], row[colEvents] = float32(len(s.marks)), float32(flows), float32(events)
	anchor := s.anchor()
	for i := range s.marks {
		m := &s.marks[i]
		k := find(v.marks, m.key)
		if k < 0 {
			continue
		}
		to := row[v.at[k]:]
		m.columns(to[:markColumns], anchor, firsts)
		if m.flow && v.marks[k].flow {
			sums := m.sums()
			for j, n := range sums[:flowColumns-markColumns] {
				to[markColumns+j] = float32(*n)
			}
		}
	}
}

func (m *mark) columns(to []float32, anchor int64, firsts []int64) {
	to[colCount] = float32(m.count)
	for j, t := range m.times[:min(len(m.times), 3)] {
		to[colFirst+j] = float32(t - anchor)
	}
	for j := 1; j < len(m.times); j++ {
		to[colGap1+j-1] = float32(m.times[j] - m.times[j-1])
	}
	rank, _ := slices.BinarySearch(firsts, m.times[0])
	to[colRank] = float32(rank)
	if rank > 0 {
		to[colBefore] = float32(m.times[0] - firsts[rank-1])
	}
}

// The messages by which the anchor is found.
var (
	discover = hash([]byte("dhcp discover"))
	request  = hash([]byte("dhcp request"))
	afters   = []uint32{hash([]byte("arp probe")), hash([]byte("arp announcement")), hash([]byte("arp request")), hash([]byte("dns query"))}
)

// anchor is the moment from which on other times are counted: the request by which
// the device got its address, the last before it used it. What a device does next
// is timed by its own clock from there, while the beginning of what we saw may be by
// chance. Without one it is the first DHCP message, or the first sign.
func (s *Sketch) anchor() int64 {
	used := int64(math.MaxInt64)
	for _, key := range afters {
		if m := s.mark(key); m != nil {
			used = min(used, m.times[0])
		}
	}
	if m := s.mark(request); m != nil {
		at := m.times[0]
		for _, t := range m.times {
			if t <= used {
				at = t
			}
		}
		return at
	}
	if m := s.mark(discover); m != nil {
		return m.times[0]
	}
	return int64(s.first) / 1e6
}

func (s *Sketch) mark(key uint32) *mark {
	i, ok := slices.BinarySearchFunc(s.marks, key, func(m mark, k uint32) int { return cmp.Compare(m.key, k) })
	if !ok {
		return nil
	}
	return &s.marks[i]
}

// column describes the value of a column to people.
func (v *vocabulary) column(i int, value float32) string {
	if n := v.width - len(v.facts); i >= n {
		if value == 0 {
			return "not " + v.facts[i-n].name
		}
		return v.facts[i-n].name
	}
	if i < commonColumns && v.group&Timing != 0 {
		return fmt.Sprintf("%s: %s", commonNames[i], number32(value))
	}
	k, ok := slices.BinarySearch(v.at, i)
	if !ok {
		k--
	}
	if c := i - v.at[k]; value != absent {
		return fmt.Sprintf("%s: %s %s", v.marks[k].name, columnNames[c], number32(value))
	}
	return "no " + v.marks[k].name
}

func number32(f float32) string { return strconv.FormatFloat(float64(f), 'f', -1, 32) }
