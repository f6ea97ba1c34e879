package fingerprint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// The bounds of a profile: what a hostile or broken endpoint can make us keep.
const (
	maxEvidence  = 64  // entries; the weakest goes first
	maxValues    = 8   // values of one attribute from one protocol; the least recent goes first
	maxAddresses = 32  // epochs; the oldest goes first
	maxText      = 128 // bytes of a value
)

// sameTenancy is the pause after which an address that comes back, while another
// was used in between, counts as held anew.
const sameTenancy = time.Hour

// profile is the cold state of an endpoint: it changes when something new is
// said, not with each flow. It is keyed by the endpoint and so lies on the
// endpoint's own lane: two successive tenants of one address never meet in it.
type profile struct {
	mac       proto.MAC
	gateway   proto.ID
	group     proto.ID
	version   uint64
	addresses []tenancy
	evidence  []proto.Evidence // sorted by attribute, value, protocol

	since        proto.Time // of its group (proto.Grouping)
	why          string
	watched      bool
	groupVersion uint64
	claimed      uint64 // hash of the last claim
	hourly       bool   // an hours timer is under way
	hour         int64  // the latest of which it is known whether it was seen
	hours        uint64 // bit n: seen n hours before
}

// tenancy is an epoch of an address: it was held from first to last.
type tenancy struct {
	ip          netip.Addr
	protocol    string // that showed it first
	first, last proto.Time
	count       uint64
	owned       uint8 // how surely it is the endpoint's: ownsNot, ...
}

// packedProfile begins a profile; those of an earlier release begin with the hardware
// address of an interface, which is no group's (IEEE 802, 8.2).
var packedProfile = []byte{0xff, 1}

const (
	profileMAC = 1 << iota
	profileGateway
	profileGroup
	profileGrouped
	profileWatched
	profileHourly
)

// AppendTo encodes the profile.
func (p *profile) AppendTo(b []byte) []byte {
	w := packer{b: append(b, packedProfile...)}
	w.uint(flagIf(!p.mac.IsZero(), profileMAC) | flagIf(!p.gateway.IsZero(), profileGateway) | flagIf(!p.group.IsZero(), profileGroup) |
		flagIf(p.groupVersion != 0, profileGrouped) | flagIf(p.watched, profileWatched) | flagIf(p.hourly, profileHourly))
	if !p.mac.IsZero() {
		w.b = append(w.b, p.mac[:]...)
	}
	if !p.gateway.IsZero() {
		w.b = append(w.b, p.gateway[:]...)
	}
	if !p.group.IsZero() {
		w.b = append(w.b, p.group[:]...)
	}
	w.uint(p.version)
	w.uint(uint64(len(p.addresses)))
	for i := range p.addresses {
		a := &p.addresses[i]
		w.b = appendAddr(w.b, a.ip)
		w.text(a.protocol)
		w.time(a.first)
		w.time(a.last)
		w.uint(a.count<<2 | uint64(a.owned))
	}
	w.evidence(p.evidence)
	w.b = stream.AppendInt(w.b, p.hour)
	w.uint(p.hours)
	w.b = binary.BigEndian.AppendUint64(w.b, p.claimed)
	if p.groupVersion != 0 {
		w.time(p.since)
		w.uint(p.groupVersion)
		w.text(p.why)
	}
	return w.b
}

// Parse decodes the profile.
func (p *profile) Parse(b []byte) error {
	if !bytes.HasPrefix(b, packedProfile) {
		return p.parseLong(b)
	}
	u := newUnpacker(b[len(packedProfile):])
	*p = profile{}
	f := u.Uint()
	if f&profileMAC != 0 {
		u.Fixed(p.mac[:])
	}
	if f&profileGateway != 0 {
		u.Fixed(p.gateway[:])
	}
	if f&profileGroup != 0 {
		u.Fixed(p.group[:])
	}
	p.watched, p.hourly = f&profileWatched != 0, f&profileHourly != 0
	p.version = u.Uint()
	for n := u.Uint(); n > 0 && u.More(); n-- {
		a := tenancy{ip: readAddr(u.Decoder), protocol: u.text(), first: u.time(), last: u.time()}
		n := u.Uint()
		a.count, a.owned = n>>2, uint8(n&3)
		p.addresses = append(p.addresses, a)
	}
	p.evidence = u.evidence()
	p.hour, p.hours = u.Int(), u.Uint()
	var claimed [8]byte
	u.Fixed(claimed[:])
	p.claimed = binary.BigEndian.Uint64(claimed[:])
	if f&profileGrouped != 0 {
		p.since, p.groupVersion, p.why = u.time(), u.Uint(), u.text()
	}
	return u.failed()
}

// parseLong decodes a profile of an earlier release.
func (p *profile) parseLong(b []byte) error {
	d := stream.NewTextDecoder(b)
	*p = profile{}
	d.Fixed(p.mac[:])
	d.Fixed(p.gateway[:])
	d.Fixed(p.group[:])
	p.version = d.Uint()
	for n := d.Uint(); n > 0 && d.More(); n-- {
		a := tenancy{ip: readAddr(d), protocol: d.String(), first: proto.Time(d.Int())}
		a.last = a.first + proto.Time(d.Int())
		a.count = d.Uint()
		p.addresses = append(p.addresses, a)
	}
	p.evidence = readEvidence(d)
	p.readIdentity(d) // absent from one of an earlier release
	return d.Err()
}

func (p *profile) readIdentity(d *stream.Decoder) {
	p.hour, p.hours = d.Int(), d.Uint()
	var claimed [8]byte
	d.Fixed(claimed[:])
	p.claimed = binary.BigEndian.Uint64(claimed[:])
	for i := range p.addresses {
		p.addresses[i].owned = uint8(d.Uint())
	}
	p.since = proto.Time(d.Int())
	flags := d.Uint()
	p.watched, p.hourly = flags&1 != 0, flags&2 != 0
	p.groupVersion, p.why = d.Uint(), d.String()
}

func readEvidence(d *stream.Decoder) []proto.Evidence {
	n := d.Uint()
	if n == 0 {
		return nil
	}
	list := make([]proto.Evidence, 0, min(n, maxEvidence+1))
	for ; n > 0 && d.More(); n-- {
		v := proto.Evidence{Attribute: d.String(), Value: d.String(), Protocol: d.String(), First: proto.Time(d.Int())}
		v.Last = v.First + proto.Time(d.Int())
		v.Count = d.Uint()
		v.Weight = float64(d.Uint()) / 1e4
		list = append(list, v)
	}
	return list
}

func compareEvidence(a, b proto.Evidence) int {
	return cmp.Or(cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Protocol, b.Protocol))
}

// add takes a reason in, and reports whether it is a new one.
func (p *profile) add(attribute, value, protocol string, weight float64, at proto.Time) bool {
	value = clean(value)
	if value == "" {
		return false
	}
	v := proto.Evidence{Attribute: attribute, Value: value, Protocol: protocol, First: at, Last: at, Count: 1, Weight: weight}
	i, found := slices.BinarySearchFunc(p.evidence, v, compareEvidence)
	if found {
		e := &p.evidence[i]
		e.Count++
		e.First, e.Last = min(e.First, at), max(e.Last, at)
		stronger := v.Weight > e.Weight // a guess by port that the content has confirmed
		e.Weight = max(e.Weight, v.Weight)
		return stronger
	}
	p.evidence = slices.Insert(p.evidence, i, v)
	p.bound(attribute, protocol)
	return true
}

// room reports that a value is known, or that there is room for it beside the others
// of its attribute and protocol: of some the first few tell as much as the latest.
func (p *profile) room(attribute, value, protocol string) bool {
	n := 0
	for i := range p.evidence {
		if e := &p.evidence[i]; e.Attribute == attribute && e.Protocol == protocol {
			if e.Value == value {
				return true
			}
			n++
		}
	}
	return n < maxValues
}

// bound drops what is too much: of one attribute the least recent value, of all
// the weakest, least often and least recently seen.
func (p *profile) bound(attribute, protocol string) {
	same, oldest := 0, -1
	for i := range p.evidence {
		if e := &p.evidence[i]; e.Attribute == attribute && e.Protocol == protocol {
			same++
			if oldest < 0 || e.Last < p.evidence[oldest].Last {
				oldest = i
			}
		}
	}
	if same > maxValues {
		p.evidence = slices.Delete(p.evidence, oldest, oldest+1)
	}
	if len(p.evidence) <= maxEvidence {
		return
	}
	weakest := 0
	for i := range p.evidence {
		a, b := &p.evidence[i], &p.evidence[weakest]
		if cmp.Or(cmp.Compare(a.Weight, b.Weight), cmp.Compare(a.Count, b.Count), cmp.Compare(a.Last, b.Last)) < 0 {
			weakest = i
		}
	}
	p.evidence = slices.Delete(p.evidence, weakest, weakest+1)
}

// clean bounds a value and takes control characters out of it.
func clean(s string) string {
	ok := len(s) <= maxText
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] >= 0x20 && s[i] != 0x7f
	}
	if ok {
		return s
	}
	out := make([]rune, 0, maxText)
	n := 0
	for _, r := range s {
		if r < 0x20 || r == 0x7f {
			r = ' '
		}
		if n += len(string(r)); n > maxText {
			break
		}
		out = append(out, r)
	}
	return string(out)
}

// hold notes that the endpoint uses ip, and reports whether that is news.
func (p *profile) hold(ip netip.Addr, protocol string, first, at proto.Time) bool {
	for i := len(p.addresses) - 1; i >= 0; i-- {
		a := &p.addresses[i]
		if a.ip != ip {
			continue
		}
		if first.Sub(a.last) > sameTenancy && p.replaced(i) {
			break // held again, after another
		}
		a.first, a.last = min(a.first, first), max(a.last, at)
		a.count++
		return false
	}
	p.begin(tenancy{ip: ip, protocol: protocol, first: first, last: at, count: 1})
	return true
}

// begin adds an epoch.
func (p *profile) begin(a tenancy) {
	p.addresses = append(p.addresses, a)
	if len(p.addresses) > maxAddresses {
		p.addresses = slices.Delete(p.addresses, 0, 1)
	}
}

// replaced reports whether another address of the same family came after epoch i.
func (p *profile) replaced(i int) bool {
	for _, b := range p.addresses[i+1:] {
		if b.ip.Is4() == p.addresses[i].ip.Is4() {
			return true
		}
	}
	return false
}

// summary makes what the device fold is told.
func (p *profile) summary(id proto.ID, h *host) *proto.Summary {
	s := &proto.Summary{
		Endpoint: id, Group: p.groupOf(id), Since: p.since, Why: p.why, Site: h.site, MAC: p.mac, Gateway: p.gateway, FirstSeen: h.first, LastSeen: h.last,
		Version: p.version, Evidence: slices.Clone(p.evidence),
	}
	for i := range p.addresses {
		a := &p.addresses[i]
		if !slices.Contains(s.IPs, a.ip) {
			s.IPs = append(s.IPs, a.ip)
		}
		s.Evidence = append(s.Evidence, proto.Evidence{
			Attribute: "ip", Value: a.ip.String(), Protocol: a.protocol, First: a.first, Last: a.last, Count: a.count, Weight: 1,
		})
	}
	for i := range p.evidence {
		switch e := &p.evidence[i]; e.Attribute {
		case "hostname":
			if !slices.Contains(s.Hostnames, e.Value) {
				s.Hostnames = append(s.Hostnames, e.Value)
			}
		case "ae_title":
			if !slices.Contains(s.AETitles, e.Value) {
				s.AETitles = append(s.AETitles, e.Value)
			}
		}
	}
	slices.SortStableFunc(s.Evidence, compareEvidence)
	return s
}
