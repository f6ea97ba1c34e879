package anomaly

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// The tables.
const (
	tableHosts      = 'h'
	tablePeers      = 'p'
	tableScans      = 's'
	tableDetections = 'd'
	tableBound      = 'b'
	tablePolicies   = 'y'
)

var (
	hosts      = stream.NewTable[host](tableHosts, 0)           // endpoint -> when it talks
	peers      = stream.NewTable[stream.Uint](tablePeers, 0)    // endpoint, peer -> known
	scans      = stream.NewTable[attempts](tableScans, 0)       // endpoint, target -> ports tried in vain
	detections = stream.NewTable[detection](tableDetections, 0) // endpoint, rule, target -> as last told
	bound      = stream.NewTable[kind](tableBound, 0)           // endpoint -> device and what it is
	policies   = stream.NewTable[policy](tablePolicies, 0)      // site -> what it has decided
)

const idLen = 16

// host is the hot state of an endpoint, under 100 bytes encoded.
type host struct {
	first, last proto.Time
	talks       uint64 // flows and observations of its own
	gap         time.Duration
	seen        slots  // quarters of an hour of the day in which it talked
	missed      slots  // and in which it once did not
	present     bool   // it is being watched: it talked, and no goodbye since
	told        bool   // its silence has been reported
	grace       bool   // its deadline has been put off, because the sensor was quiet
	timer       uint64 // hash of the time domain that its timer is set in; 0 for none
	newPeers    uint64 // reported in hour
	peers       uint64 // rows in the table of peers
	hour        int64
}

const (
	flagPresent = 1 << iota
	flagTold
	flagGrace
)

// AppendTo encodes the host.
func (h *host) AppendTo(b []byte) []byte {
	var f uint64
	if h.present {
		f |= flagPresent
	}
	if h.told {
		f |= flagTold
	}
	if h.grace {
		f |= flagGrace
	}
	b = stream.AppendUint(b, f)
	b = stream.AppendInt(stream.AppendInt(b, int64(h.first)), int64(h.last-h.first))
	b = stream.AppendUint(stream.AppendInt(b, int64(h.gap)), h.talks)
	b = append(append(b, h.seen[:]...), h.missed[:]...)
	b = stream.AppendInt(stream.AppendUint(stream.AppendUint(b, h.timer), h.newPeers), h.hour)
	return stream.AppendUint(b, h.peers)
}

// Parse decodes the host.
func (h *host) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	f := d.Uint()
	*h = host{present: f&flagPresent != 0, told: f&flagTold != 0, grace: f&flagGrace != 0, first: proto.Time(d.Int())}
	h.last = h.first + proto.Time(d.Int())
	h.gap, h.talks = time.Duration(d.Int()), d.Uint()
	d.Fixed(h.seen[:])
	d.Fixed(h.missed[:])
	h.timer, h.newPeers, h.hour, h.peers = d.Uint(), d.Uint(), d.Int(), d.Uint()
	return d.Err()
}

// kind is what a binding said of the endpoint.
type kind struct {
	device         proto.ID
	category, typ  string
	lifeSustaining bool
}

// AppendTo encodes the kind.
func (k *kind) AppendTo(b []byte) []byte {
	var f uint64
	if k.lifeSustaining {
		f = 1
	}
	return stream.AppendUint(stream.AppendString(stream.AppendString(append(b, k.device[:]...), k.category), k.typ), f)
}

// Parse decodes the kind.
func (k *kind) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*k = kind{}
	d.Fixed(k.device[:])
	k.category, k.typ, k.lifeSustaining = d.String(), d.String(), d.Uint() == 1
	return d.Err()
}

// patients reports a device whose misbehaviour reaches patients or the building.
func (k *kind) patients() bool { return k.category == "medical" || k.category == "ot" }

// policy is a site's policy with its networks read.
type policy struct {
	proto.Policy
	trusted []netip.Prefix
}

// AppendTo encodes the policy.
func (p *policy) AppendTo(b []byte) []byte {
	val, err := json.Marshal(&p.Policy)
	if err != nil { // it was decoded from the like
		return b
	}
	return append(b, val...)
}

// Parse decodes the policy. A network that cannot be read is left out: it was
// refused where the policy was set.
func (p *policy) Parse(b []byte) error {
	*p = policy{}
	if err := json.Unmarshal(b, &p.Policy); err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	p.read()
	return nil
}

func (p *policy) read() {
	p.trusted = nil
	for _, s := range p.TrustedExternals {
		if n, err := netip.ParsePrefix(s); err == nil {
			p.trusted = append(p.trusted, n.Masked())
		}
	}
}

var noPolicy = new(policy)

func (p *policy) trusts(a netip.Addr) bool {
	for _, n := range p.trusted {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// learns reports whether the endpoint is still being learned at t.
func (p *policy) learns(first, t proto.Time) bool {
	if p.LearningUntil != 0 {
		return t <= p.LearningUntil
	}
	period := defaultLearning
	if p.LearningPeriodS > 0 {
		period = time.Duration(p.LearningPeriodS) * time.Second
	}
	return t < first.Add(period)
}

// mute reports whether nothing is to be reported at t.
func (p *policy) mute(t proto.Time) bool { return p.LearningUntil != 0 && t <= p.LearningUntil }

// slots is a set of quarters of an hour of the UTC day.
type slots [12]byte

const (
	slotLen   = 15 * time.Minute
	slotCount = 96
)

func slotOf(t proto.Time) int64 { return int64(t) / int64(slotLen) }

func (s *slots) has(n int64) bool {
	n %= slotCount
	return s[n/8]&(1<<(n%8)) != 0
}

func (s *slots) add(n int64) {
	n %= slotCount
	s[n/8] |= 1 << (n % 8)
}

// addRange adds from..to, both included; a day or more is all.
func (s *slots) addRange(from, to int64) {
	if to-from >= slotCount {
		from = to - slotCount + 1
	}
	for n := from; n <= to; n++ {
		s.add(n)
	}
}

// attempts are the ports of one target that an endpoint tried in vain, as a bit
// each of 512: collisions only make the count smaller.
type attempts struct {
	first, last proto.Time
	n           uint64
	bits        [64]byte
}

// AppendTo encodes the attempts.
func (a *attempts) AppendTo(b []byte) []byte {
	b = stream.AppendInt(stream.AppendInt(b, int64(a.first)), int64(a.last-a.first))
	return append(stream.AppendUint(b, a.n), a.bits[:]...)
}

// Parse decodes the attempts.
func (a *attempts) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*a = attempts{first: proto.Time(d.Int())}
	a.last = a.first + proto.Time(d.Int())
	a.n = d.Uint()
	d.Fixed(a.bits[:])
	return d.Err()
}

// detection is a detection as it stands, and how far it has been told.
type detection struct {
	proto.Detection
	told   uint64     // count when last told
	again  uint64     // count at which it is told again
	rested proto.Time // when its rest timer is due
}

// AppendTo encodes the detection.
func (d *detection) AppendTo(b []byte) []byte {
	val, err := json.Marshal(&d.Detection)
	if err != nil { // it was made of text and numbers
		val = []byte("{}")
	}
	b = stream.AppendBytes(b, val)
	return stream.AppendInt(stream.AppendUint(stream.AppendUint(b, d.told), d.again), int64(d.rested))
}

// Parse decodes the detection.
func (d *detection) Parse(b []byte) error {
	r := stream.NewDecoder(b)
	*d = detection{}
	if err := json.Unmarshal(r.Bytes(), &d.Detection); err != nil {
		return fmt.Errorf("read detection: %w", err)
	}
	d.told, d.again, d.rested = r.Uint(), r.Uint(), proto.Time(r.Int())
	return r.Err()
}
