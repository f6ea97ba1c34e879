package dedup

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// How long what was counted is kept, after the slowest sensor's clock has passed
// it. Sensors tell a part of a flow an active timeout after it began, one whose end
// nobody saw an idle timeout later.
const (
	keepOpen  = 6 * time.Minute // a conversation that goes on
	keepFinal = 2 * time.Minute // one that has ended
	keepFact  = 6 * time.Minute // an observation's window; some are told at the end of their flow

	// slack is how far the clocks of two sensors may differ where they cut a
	// conversation into different flows, as they do when one began later or lost packets.
	slack = 10 * time.Second
	// sameFlow is the same where both name the flow alike: its parts are numbered, so
	// that time only bounds how long the numbers are believed.
	sameFlow = 90 * time.Second

	// factWindow is the span within which observations of the same content are counted.
	factWindow = time.Minute

	// step is the width of the buckets of what is forgotten together, and maxDrop how
	// much of it at one heartbeat.
	step    = 16 * time.Second
	maxDrop = 10_000
	// DefaultMax bounds what is kept of a partition; beyond, the oldest bucket goes.
	DefaultMax = 1 << 20
)

// Key names what is kept: a conversation on an endpoint's lane, or the content of
// an observation in its window. Its first four bytes are of the site and domain.
type Key [16]byte

// Conversation is how far the traffic between two ends has been counted on the
// lane of one of them, and whose report it was.
type Conversation struct {
	Owner      string
	Flow       uint64 // of the flow's id, of the part counted last
	Part       uint32
	Final      bool
	Silent     bool       // it was empty: the flow ended long after its last packet
	Start, End proto.Time // of the first and of the last packet counted
}

// Fact is how often each sensor has told one content within a window.
type Fact struct {
	Window proto.Time // its end
	Owner  string     // who told it as often as nobody had before
	Told   []Told     // by sensor
}

// Told is one sensor's count.
type Told struct {
	Sensor string
	Count  uint64
}

// Table keeps values under keys.
type Table[V any] interface {
	Get(key Key) *V  // nil when there is none; it must not be changed
	Edit(key Key) *V // for changing, a zero value when there is none
	Delete(key Key)
}

// Rule tells copies from what counts, for one partition of wardflow.traffic.
//
// A flow's part counts unless another sensor's report covers its beginning:
//
//   - the same flow, up to the part that was counted; two sensors that see the same
//     packets name and number the parts alike, whatever their clocks say;
//   - else another flow of the same two ends, up to the end of what was counted.
//
// So the first report counts, and nobody has to be waited for or known to be alive:
// a sensor that dies leaves its conversations to the others at the next part.
// Observations are counted by content: of what several sensors tell within a
// minute, as many count as the one told that told most.
type Rule struct {
	flows Table[Conversation]
	facts Table[Fact]
	sites map[[4]byte]*Site
	kept  int
	max   int

	Counts Counts
}

// Counts tells what a rule has done.
type Counts struct {
	Copies    uint64 // flows' parts and observations that another sensor had told
	Forgotten uint64 // kept values that went before their time, because there were too many
}

// Site is one site's sensors in one time domain, and what is kept of what they
// told, by the bucket of time at which it may go.
type Site struct {
	Sensors
	rule  *Rule
	name  [4]byte
	flows map[int64][]Key
	facts map[int64][]Key
}

// NewRule makes a rule over tables; most is how much they may hold, 0 for DefaultMax.
func NewRule(flows Table[Conversation], facts Table[Fact], most int) *Rule {
	if most <= 0 {
		most = DefaultMax
	}
	return &Rule{flows: flows, facts: facts, sites: map[[4]byte]*Site{}, max: most}
}

// NewSite makes a site that knows no sensor yet; r may be nil where only the clocks
// are wanted.
func NewSite(site, domain string, r *Rule) *Site {
	id := proto.HashID("sensors", []byte(site), []byte(domain))
	g := &Site{Sensors: Sensors{Live: domain == proto.LiveDomain}, rule: r, name: [4]byte(id[:4]), flows: map[int64][]Key{}, facts: map[int64][]Key{}}
	if r != nil {
		r.sites[g.name] = g
	}
	return g
}

// LoadFlow and LoadFact tell the rule of a value that its table holds already.
func (r *Rule) LoadFlow(key Key, c *Conversation) { r.load(key, c.expires(), true) }

// LoadFact is like LoadFlow.
func (r *Rule) LoadFact(key Key, f *Fact) { r.load(key, f.expires(), false) }

func (r *Rule) load(key Key, expires proto.Time, flow bool) {
	r.kept++
	if g := r.sites[[4]byte(key[:4])]; g != nil {
		g.put(key, expires, flow)
	}
}

func (g *Site) put(key Key, expires proto.Time, flow bool) {
	m := g.facts
	if flow {
		m = g.flows
	}
	b := bucketOf(expires)
	m[b] = append(m[b], key)
}

// bucketOf is the bucket that is over when the time has passed.
func bucketOf(t proto.Time) int64 { return int64(t / proto.Time(step)) }

func (c *Conversation) expires() proto.Time {
	if c.Final && !c.Silent {
		return c.End.Add(keepFinal)
	}
	return c.End.Add(keepOpen)
}

func (f *Fact) expires() proto.Time { return f.Window.Add(keepFact) }

func (g *Site) gone(expires proto.Time) bool {
	return bucketOf(expires) < bucketOf(g.Passed)
}

// conversationKey is made of what is hashed already: the site is in the endpoint,
// or in the flow's id, and the two ends in the Community ID.
func (g *Site) conversationKey(f *proto.Flow, mirror bool) (key Key) {
	copy(key[:], g.name[:])
	if f.CommunityID != (proto.CommunityID{}) {
		copy(key[4:], f.CommunityID[:])
	} else {
		copy(key[4:], f.FlowID[:])
	}
	end := f.SrcEndpoint
	if mirror || end.IsZero() {
		end = f.DstEndpoint
	}
	for i := range key[4:] {
		key[4+i] ^= end[i]
	}
	return key
}

// Flow decides about a part of a flow on one endpoint's lane, whose times have been
// set right. It gives the sensor whose report counts, "" when this one does.
func (g *Site) Flow(f *proto.Flow, sensor string, mirror bool) string {
	r := g.rule
	if r == nil || !g.Several() {
		return ""
	}
	key := g.conversationKey(f, mirror)
	c := r.flows.Get(key)
	known := c != nil && !g.gone(c.expires())
	empty := f.SrcPackets+f.DstPackets == 0
	switch {
	case !known && empty: // the end of a flow that was silent for long: it counts nothing
		return ""
	case known && c.Owner != sensor && c.covers(f):
		owner := c.Owner
		if c.Final && f.Final && c.Flow == short(f.FlowID) && c.Part == f.Part && len(g.List) == 2 {
			r.flows.Delete(key) // both have told all of it
			r.kept--
		}
		r.Counts.Copies++
		return owner
	case known && c.Owner != sensor && f.End < c.Start.Add(-slack):
		return "" // out of a spool, from before what was counted
	}
	if c == nil {
		r.room()
	}
	was := int64(-1)
	if c != nil {
		was = bucketOf(c.expires())
	}
	e := r.flows.Edit(key)
	if !known {
		*e = Conversation{Start: f.Start, End: f.End}
	}
	e.Owner, e.Flow, e.Part, e.Final, e.Silent = sensor, short(f.FlowID), f.Part, f.Final, empty
	e.Start, e.End = min(e.Start, f.Start), max(e.End, f.End)
	if bucketOf(e.expires()) != was {
		g.put(key, e.expires(), true)
	}
	return ""
}

func short(id proto.ID) uint64 { return binary.BigEndian.Uint64(id[:]) }

// covers reports whether what was counted holds the beginning of f.
func (c *Conversation) covers(f *proto.Flow) bool {
	if c.Flow == short(f.FlowID) {
		if f.Part <= c.Part {
			return f.Start <= c.End.Add(sameFlow)
		}
		return f.Start < c.End.Add(-slack) // a sensor that cuts its parts shorter
	}
	return f.Start <= c.End.Add(slack) && f.End >= c.Start.Add(-slack)
}

// Observation decides about an observation, whose time has been set right, as Flow
// does about a part of a flow.
func (g *Site) Observation(o *proto.Observation, sensor string) string {
	if g.rule == nil || !g.Several() {
		return ""
	}
	key, window := g.factKey(o)
	return g.fact(key, window, sensor, 1)
}

// fact counts n observations of one content by one sensor.
func (g *Site) fact(key Key, window proto.Time, sensor string, n uint64) string {
	r := g.rule
	if g.gone(window.Add(keepFact)) {
		return "" // out of a spool, from a time that is forgotten
	}
	if r.facts.Get(key) == nil {
		r.room()
		g.put(key, window.Add(keepFact), false)
	}
	e := r.facts.Edit(key)
	e.Window = window
	top, mine, equal := uint64(0), -1, 0
	for i := range e.Told {
		if e.Told[i].Sensor == sensor {
			mine = i
		}
		top = max(top, e.Told[i].Count)
	}
	if mine < 0 {
		e.Told = append(slices.Clip(e.Told), Told{Sensor: sensor})
		mine = len(e.Told) - 1
	}
	e.Told[mine].Count += n
	if e.Told[mine].Count > top {
		e.Owner = sensor
		return ""
	}
	owner := e.Owner
	for i := range e.Told {
		if e.Told[i].Count == top {
			equal++
		}
	}
	if equal == len(g.List) {
		r.facts.Delete(key) // all have told all of it: as good as nothing
		r.kept--
	}
	r.Counts.Copies++
	return owner
}

// factKey names the content of an observation: all that it says, but when, in which
// flow and to whom, since that is what sensors may see differently.
func (g *Site) factKey(o *proto.Observation) (Key, proto.Time) {
	attributes, err := o.Attributes.MarshalJSON()
	if err != nil { // text always marshals
		attributes = nil
	}
	return g.contentKey(o, string(attributes))
}

func (g *Site) contentKey(o *proto.Observation, attributes string) (Key, proto.Time) {
	window := (o.Time/proto.Time(factWindow) + 1) * proto.Time(factWindow)
	id := proto.HashID("fact", binary.BigEndian.AppendUint64(nil, uint64(window)), o.Endpoint[:], o.Gateway[:],
		[]byte(o.Protocol), []byte(o.Kind), []byte(attributes))
	var key Key
	copy(key[:], g.name[:])
	copy(key[4:], id[:])
	return key, window
}

// room makes room for one more value: when there are too many the oldest bucket
// goes, and for its site whatever is as old.
func (r *Rule) room() {
	r.kept++
	if r.kept <= r.max {
		return
	}
	var g *Site
	oldest := int64(0)
	for _, o := range r.sites {
		for _, m := range []map[int64][]Key{o.flows, o.facts} {
			for b := range m {
				if g == nil || b < oldest || (b == oldest && bytes.Compare(o.name[:], g.name[:]) < 0) {
					g, oldest = o, b
				}
			}
		}
	}
	if g == nil {
		return
	}
	g.Passed = max(g.Passed, proto.Time(oldest+1)*proto.Time(step))
	before := r.kept
	r.drop(g, len(g.flows[oldest])+len(g.facts[oldest]))
	r.Counts.Forgotten += uint64(before - r.kept)
}

// Drop forgets what no sensor of the site can tell a copy of any more. It is to be
// called after each heartbeat.
func (g *Site) Drop() {
	if g.rule != nil {
		g.rule.drop(g, maxDrop)
	}
}

// drop deletes up to n values whose time has passed. What is left over counts as
// deleted already, and goes next time.
func (r *Rule) drop(g *Site, n int) {
	n = dropOver(r, g, g.flows, r.flows, n, (*Conversation).expires)
	dropOver(r, g, g.facts, r.facts, n, (*Fact).expires)
}

func dropOver[V any](r *Rule, g *Site, buckets map[int64][]Key, t Table[V], n int, expires func(*V) proto.Time) int {
	for _, b := range slices.Sorted(maps.Keys(buckets)) {
		if b >= bucketOf(g.Passed) {
			break
		}
		keys := buckets[b]
		for len(keys) > 0 && n > 0 {
			if v := t.Get(keys[0]); v != nil && bucketOf(expires(v)) == b {
				t.Delete(keys[0])
				r.kept--
			}
			keys = keys[1:]
			n--
		}
		if len(keys) > 0 {
			buckets[b] = keys
			break
		}
		delete(buckets, b)
	}
	return n
}

// Kept is how many values the tables hold.
func (r *Rule) Kept() int { return r.kept }

// RestoreFlow puts down what a stored part says: that it counted.
func (g *Site) RestoreFlow(f *proto.Flow, sensor string) {
	key := g.conversationKey(f, false)
	if g.rule.flows.Get(key) == nil {
		g.rule.room()
	}
	e := g.rule.flows.Edit(key)
	*e = Conversation{Owner: sensor, Flow: short(f.FlowID), Part: f.Part, Final: f.Final, Start: f.Start, End: f.End}
	g.put(key, e.expires(), true)
}

// RestoreFact puts down how often a sensor has told a content in the window of
// o.Time; attributes are those of o as JSON.
func (g *Site) RestoreFact(o *proto.Observation, attributes, sensor string, n uint64) {
	key, window := g.contentKey(o, attributes)
	copies := g.rule.Counts.Copies
	g.fact(key, window, sensor, n)
	g.rule.Counts.Copies = copies
}

// Memory is a Table in memory.
type Memory[V any] map[Key]*V

// Get gives a value.
func (m Memory[V]) Get(key Key) *V { return m[key] }

// Edit gives a value for changing.
func (m Memory[V]) Edit(key Key) *V {
	v := m[key]
	if v == nil {
		v = new(V)
		m[key] = v
	}
	return v
}

// Delete removes a value.
func (m Memory[V]) Delete(key Key) { delete(m, key) }
