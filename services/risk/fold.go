package risk

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// Config is what the fold may be told; the zero value asks for the embedded weights.
type Config struct {
	Weights *Weights
}

// The tables.
const (
	tableSubjects = 'r'
	tablePolicies = 'y'
)

var (
	subjects = stream.NewTable[subject](tableSubjects, 0) // endpoint -> its risk
	policies = stream.NewTable[policy](tablePolicies, 0)  // site -> what it has decided
)

const idLen = 16

// Fold is the risk fold.
type Fold struct{ w *Weights }

// New makes the fold. It emits proto.Risk as JSON on wardflow.risk (key: the
// device's id, lane: the endpoint's): a first score when the binding is known, then
// one when the score (to 0.1), its tier or its set of factors has changed, and
// while detections decay when it has moved by a point or to another tier.
func New(cfg Config) stream.Fold {
	if cfg.Weights == nil {
		cfg.Weights = embedded()
	}
	return &Fold{w: cfg.Weights}
}

// Name is "risk".
func (f *Fold) Name() string { return "risk" }

// Inputs lists traffic, what the device and anomaly folds make of it, and policies.
func (f *Fold) Inputs() []stream.Input {
	return []stream.Input{
		{Topic: proto.TopicTraffic},
		{Topic: proto.TopicBindings, Upstream: "device", Rekeyed: true},
		{Topic: proto.TopicDetections, Upstream: "anomaly"},
		{Topic: proto.TopicControl},
	}
}

// Progress is said to nobody: no fold reads scores.
func (f *Fold) Progress() []stream.ProgressTo { return nil }

// Apply takes an event in.
func (f *Fold) Apply(tx *stream.Tx, ev *stream.Event) {
	switch m := ev.Msg.(type) {
	case *proto.Flow:
		f.flow(tx, ev, m)
	case *proto.Binding:
		s := subjects.Edit(tx, m.Endpoint[:])
		s.site, s.device, s.category, s.typ, s.bound = m.Site, m.Device, m.Category, m.Type, true
		f.tell(tx, m.Endpoint, s, "binding")
	case *proto.Detection:
		s := subjects.Edit(tx, m.Endpoint[:])
		if s.site == "" {
			s.site = m.Site
		}
		s.clock = max(s.clock, tx.Now(), m.Last)
		s.detect(m, f.w.Detections[m.Severity], f.half(tx, s.site))
		f.tell(tx, m.Endpoint, s, m.DetectionID.String())
	case *proto.Control:
		if m.Policy != nil {
			p := policies.Edit(tx, []byte(m.Policy.Site))
			p.Policy = *m.Policy
			p.read()
		}
	case *proto.Heartbeat:
		if m.End {
			tx.Sweep("end", tableSubjects)
		}
	}
}

func (f *Fold) half(tx *stream.Tx, site string) time.Duration {
	if p := policies.Get(tx, []byte(site)); p != nil {
		return f.w.halfLife(&p.Policy)
	}
	return f.w.halfLife(nil)
}

// flow looks whether a flow shows something of its end that was not known. That
// it does not is the rule, and costs a look and no change of state.
func (f *Fold) flow(tx *stream.Tx, ev *stream.Event, m *proto.Flow) {
	if m.DuplicateOfSensor != "" {
		return
	}
	asServer := ev.Mirror || m.SrcEndpoint.IsZero()
	id := m.SrcEndpoint
	if asServer {
		id = m.DstEndpoint
	}
	if id.IsZero() {
		return
	}
	clear := m.ProtocolBy == proto.ByContent && f.w.cleartext[m.Protocol] && m.DstPackets > 0
	out := !asServer && outside(m.DstIP, m.DstInside, m.DstMAC)
	in := asServer && m.SrcEndpoint.IsZero() && m.DstPackets > 0 && outside(m.SrcIP, m.SrcInside, m.SrcMAC)
	if !clear && !out && !in {
		return
	}
	v := view{f: f, tx: tx, id: id, site: ev.Site, s: subjects.Get(tx, id[:])}
	cause := ""
	if clear && v.show(traitCleartext+m.Protocol, m) {
		cause = "posture"
	}
	if out && !v.trusted(m.DstIP) {
		if v.show(traitPeers, m) {
			cause = "exposure"
		}
		v.network(m.DstIP)
	}
	if in && !v.trusted(m.SrcIP) && v.show(traitClients, m) {
		cause = "exposure"
	}
	if cause != "" {
		f.tell(tx, id, v.s, cause)
	}
}

// view is a subject that is read until it must be changed.
type view struct {
	f      *Fold
	tx     *stream.Tx
	id     proto.ID
	site   string
	s      *subject
	edited bool
}

func (v *view) edit() *subject {
	if !v.edited {
		v.s, v.edited = subjects.Edit(v.tx, v.id[:]), true
		if v.s.site == "" {
			v.s.site = v.site
		}
	}
	return v.s
}

func (v *view) show(name string, m *proto.Flow) bool {
	if v.s != nil && v.s.has(name) {
		return false
	}
	v.edit().show(name, m)
	return true
}

func (v *view) network(ip netip.Addr) {
	n := networkOf(ip.Unmap())
	if v.s != nil {
		if len(v.s.networks) >= maxNetworks {
			return
		}
		for _, have := range v.s.networks {
			if have == n {
				return
			}
		}
	}
	s := v.edit()
	s.networks = append(s.networks, n)
}

func (v *view) trusted(ip netip.Addr) bool {
	p := policies.Get(v.tx, []byte(v.site))
	return p != nil && p.trusts(ip.Unmap())
}

// outside reports an address that is somebody's, and not of this house.
func outside(ip netip.Addr, inside bool, mac proto.MAC) bool {
	ip = ip.Unmap()
	return !inside && !mac.IsGroup() && ip.IsGlobalUnicast() && ip != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func networkOf(ip netip.Addr) (n network) {
	if ip.Is4() {
		a := ip.As4()
		n[0] = 4
		copy(n[4:7], a[:3])
		return n
	}
	a := ip.As16()
	n[0] = 6
	copy(n[1:7], a[:6])
	return n
}

// tell scores the subject now, emits the score if it has changed, and sets the
// timer for when decay will have changed it.
func (f *Fold) tell(tx *stream.Tx, id proto.ID, s *subject, cause string) {
	s.clock = max(s.clock, tx.Now())
	half := f.half(tx, s.site)
	s.forget(f.w, half)
	if !s.bound {
		return
	}
	r := s.assess(f.w, s.clock, half)
	factors := r.names()
	score := round(r.score, 10)
	if !s.told || score != s.toldScore || r.tier != s.toldTier || factors != s.toldFactors {
		s.version++
		s.told, s.toldScore, s.toldTier, s.toldFactors = true, score, r.tier, factors
		told := proto.Risk{
			Time: s.clock, DeviceID: s.device, Score: score, Tier: r.tier, Likelihood: round(r.likelihood, 1e4), Impact: round(r.impact, 1e4),
			Factors: r.proto(), Framework: f.w.framework(), Version: s.version, Cause: cause, Site: s.site, Endpoint: id,
		}
		tx.Emit(stream.Output{Topic: proto.TopicRisk, Kind: proto.KindRisk, Lane: id.Lane(), Key: s.device[:], Value: told.AppendJSON(nil), Time: s.clock})
	}
	if due := f.due(s, half); due != 0 && due != s.timer {
		s.timer = due
		tx.Timer(due, id[:])
	}
}

// names is the set of factors as one text.
func (r *result) names() string {
	names := make([]string, len(r.factors))
	for i := range r.factors {
		names[i] = r.factors[i].name
	}
	return strings.Join(names, " ")
}

// due is the next second at which decay will have moved the score by a point, or
// to another tier, or ended a factor; 0 when nothing decays.
func (f *Fold) due(s *subject, half time.Duration) proto.Time {
	if len(s.live) == 0 {
		return 0
	}
	changed := func(seconds int64) bool {
		r := s.assess(f.w, s.clock.Add(time.Duration(seconds)*time.Second), half)
		return math.Abs(r.score-s.toldScore) >= 1 || r.tier != s.toldTier || r.names() != s.toldFactors
	}
	// Everything decays to nothing within log2(1/forget_below) half-lives.
	low, high := int64(0), int64(math.Ceil(half.Seconds()*math.Log2(1/f.w.ForgetBelow)))+1
	if !changed(high) {
		return 0
	}
	for low+1 < high { // changed is monotone: scores only fall, and factors only end
		if mid := (low + high) / 2; changed(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return s.clock.Add(time.Duration(high) * time.Second)
}

// Fire lets detections decay.
func (f *Fold) Fire(tx *stream.Tx, t stream.Timer) {
	if len(t.Key) != idLen {
		return
	}
	if s := subjects.Get(tx, t.Key); s == nil || s.timer != t.At {
		return // the score has changed since, and has another timer
	}
	s := subjects.Edit(tx, t.Key)
	s.timer = 0
	f.tell(tx, proto.ID(t.Key), s, "decay")
}

// Sweep forgets timers at the end of a capture file: its time domain ends with it.
func (f *Fold) Sweep(tx *stream.Tx, _ string, key []byte) {
	if s := subjects.Get(tx, key); s != nil && s.timer != 0 {
		subjects.Edit(tx, key).timer = 0
	}
}

// policy is a site's policy with its networks read.
type policy struct {
	proto.Policy
	networks []netip.Prefix
}

// AppendTo encodes the policy.
func (p *policy) AppendTo(b []byte) []byte {
	val, err := json.Marshal(&p.Policy)
	if err != nil { // it was decoded from the like
		return b
	}
	return append(b, val...)
}

// Parse decodes the policy.
func (p *policy) Parse(b []byte) error {
	*p = policy{}
	if err := json.Unmarshal(b, &p.Policy); err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	p.read()
	return nil
}

// read takes the networks that can be read; the others were refused where the
// policy was set.
func (p *policy) read() {
	p.networks = nil
	for _, s := range p.TrustedExternals {
		if n, err := netip.ParsePrefix(s); err == nil {
			p.networks = append(p.networks, n.Masked())
		}
	}
}

func (p *policy) trusts(a netip.Addr) bool {
	for _, n := range p.networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
