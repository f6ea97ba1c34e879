package risk

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// The bounds of a subject.
const (
	maxLive     = 16 // live detections; the one that weighs least goes first
	maxNetworks = 8  // outside networks that are told apart
)

// subject is what is known of an endpoint's risk. A flow changes it only when it
// shows something for the first time.
type subject struct {
	site          string
	device        proto.ID
	category, typ string
	bound         bool
	posture       []trait // sorted by name
	networks      []network
	live          []live // sorted by id
	clock         proto.Time
	version       uint64
	told          bool
	toldScore     float64
	toldTier      string
	toldFactors   string
	timer         proto.Time
}

// trait is something that the endpoint was seen to do, and the flow that showed it.
type trait struct {
	name string
	at   proto.Time
	flow proto.ID
}

// network is the /24 or /48 of an outside peer.
type network [8]byte

// live is a detection that still counts.
type live struct {
	id    proto.ID
	rule  string
	x0    float64
	last  proto.Time
	title string
}

const maxTitle = 120

// AppendTo encodes the subject.
func (s *subject) AppendTo(b []byte) []byte {
	var f uint64
	if s.bound {
		f |= 1
	}
	if s.told {
		f |= 2
	}
	b = stream.AppendString(stream.AppendUint(b, f), s.site)
	b = stream.AppendString(stream.AppendString(append(b, s.device[:]...), s.category), s.typ)
	b = stream.AppendUint(b, uint64(len(s.posture)))
	for i := range s.posture {
		t := &s.posture[i]
		b = append(stream.AppendInt(stream.AppendString(b, t.name), int64(t.at)), t.flow[:]...)
	}
	b = stream.AppendUint(b, uint64(len(s.networks)))
	for _, n := range s.networks {
		b = append(b, n[:]...)
	}
	b = stream.AppendUint(b, uint64(len(s.live)))
	for i := range s.live {
		l := &s.live[i]
		b = stream.AppendString(append(b, l.id[:]...), l.rule)
		b = stream.AppendInt(stream.AppendUint(b, math.Float64bits(l.x0)), int64(l.last))
		b = stream.AppendString(b, l.title)
	}
	b = stream.AppendUint(stream.AppendInt(b, int64(s.clock)), s.version)
	b = stream.AppendString(stream.AppendUint(b, math.Float64bits(s.toldScore)), s.toldTier)
	return stream.AppendInt(stream.AppendString(b, s.toldFactors), int64(s.timer))
}

// Parse decodes the subject.
func (s *subject) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	f := d.Uint()
	*s = subject{bound: f&1 != 0, told: f&2 != 0, site: d.String()}
	d.Fixed(s.device[:])
	s.category, s.typ = d.String(), d.String()
	for n := d.Uint(); n > 0 && d.More(); n-- {
		t := trait{name: d.String(), at: proto.Time(d.Int())}
		d.Fixed(t.flow[:])
		s.posture = append(s.posture, t)
	}
	for n := d.Uint(); n > 0 && d.More(); n-- {
		var v network
		d.Fixed(v[:])
		s.networks = append(s.networks, v)
	}
	for n := d.Uint(); n > 0 && d.More(); n-- {
		var l live
		d.Fixed(l.id[:])
		l.rule, l.x0, l.last, l.title = d.String(), math.Float64frombits(d.Uint()), proto.Time(d.Int()), d.String()
		s.live = append(s.live, l)
	}
	s.clock, s.version = proto.Time(d.Int()), d.Uint()
	s.toldScore, s.toldTier, s.toldFactors = math.Float64frombits(d.Uint()), d.String(), d.String()
	s.timer = proto.Time(d.Int())
	return d.Err()
}

func (s *subject) has(name string) bool {
	for i := range s.posture {
		if s.posture[i].name == name {
			return true
		}
	}
	return false
}

// show notes a trait; it must be new.
func (s *subject) show(name string, f *proto.Flow) {
	s.posture = append(s.posture, trait{name: name, at: f.Start, flow: f.FlowID})
	slices.SortFunc(s.posture, func(a, b trait) int { return strings.Compare(a.name, b.name) })
}

// detect takes a detection in: a new one, or a repetition of one.
func (s *subject) detect(d *proto.Detection, x0 float64, half time.Duration) {
	l := live{id: d.DetectionID, rule: d.Rule, x0: x0, last: d.Last, title: d.Title[:min(len(d.Title), maxTitle)]}
	i, found := slices.BinarySearchFunc(s.live, l.id, func(a live, id proto.ID) int { return bytes.Compare(a.id[:], id[:]) })
	if found {
		l.x0, l.last = max(l.x0, s.live[i].x0), max(l.last, s.live[i].last)
		s.live[i] = l
		return
	}
	s.live = slices.Insert(s.live, i, l)
	if len(s.live) <= maxLive {
		return
	}
	least := 0
	for i := range s.live {
		if s.live[i].x(s.clock, half) < s.live[least].x(s.clock, half) {
			least = i
		}
	}
	s.live = slices.Delete(s.live, least, least+1)
}

// x is what a detection weighs at t: half of it each half-life since it was last seen.
func (l *live) x(t proto.Time, half time.Duration) float64 {
	age := max(t.Sub(l.last), 0)
	return l.x0 * math.Exp2(-age.Seconds()/half.Seconds())
}

// forget drops detections that weigh nothing any more.
func (s *subject) forget(w *Weights, half time.Duration) {
	s.live = slices.DeleteFunc(s.live, func(l live) bool { return l.x(s.clock, half) < w.ForgetBelow })
}

// factors lists what speaks for misuse at t.
func (s *subject) factors(w *Weights, t proto.Time, half time.Duration) []factor {
	var list []factor
	if s.category == "unknown" || s.category == "" {
		list = append(list, factor{name: "unidentified", x: w.Unidentified, why: "Nothing on the wire has said what this device is."})
	}
	for i := range s.posture {
		list = append(list, s.trait(w, &s.posture[i]))
	}
	byRule := map[string][]*live{}
	for i := range s.live {
		if l := &s.live[i]; l.x(t, half) >= w.ForgetBelow {
			byRule[l.rule] = append(byRule[l.rule], l)
		}
	}
	for rule, all := range byRule {
		list = append(list, detected(rule, all, t, half))
	}
	slices.SortFunc(list, func(a, b factor) int { return cmp.Compare(a.name, b.name) })
	return list
}

const (
	traitPeers     = "outside_peers"
	traitClients   = "outside_clients"
	traitCleartext = "cleartext_"
)

func (s *subject) trait(w *Weights, t *trait) factor {
	f := factor{name: t.name, evidence: []string{t.flow.String()}}
	switch t.name {
	case traitPeers:
		f.x = byCategory(w.OutsidePeers, s.category)
		n := strconv.Itoa(len(s.networks))
		if len(s.networks) == maxNetworks {
			n = "at least " + n
		}
		f.why = "It talks to outside addresses, in " + n + " network(s), that no policy trusts."
	case traitClients:
		f.x = byCategory(w.OutsideClients, s.category)
		f.why = "It answers connections that outside hosts open."
	default:
		f.x = w.Cleartext.X
		f.why = "It speaks " + strings.ToUpper(strings.TrimPrefix(t.name, traitCleartext)) + " in clear: who is on the way can read and change it."
	}
	return f
}

// detected makes one factor of the live detections of a rule.
func detected(rule string, all []*live, t proto.Time, half time.Duration) factor {
	slices.SortFunc(all, func(a, b *live) int { return cmp.Or(cmp.Compare(b.last, a.last), bytes.Compare(a.id[:], b.id[:])) })
	f := factor{name: rule}
	var xs []float64
	for _, l := range all {
		xs = append(xs, l.x(t, half))
		f.evidence = append(f.evidence, l.id.String())
	}
	f.x = noisyOr(xs)
	f.why = all[0].title + "."
	if n := len(all); n > 1 {
		f.why += " " + strconv.Itoa(n-1) + " more like it."
	}
	return f
}

func (s *subject) assess(w *Weights, t proto.Time, half time.Duration) result {
	return w.assess(s.factors(w, t, half), w.impact(s.category, s.typ, 1))
}
