package fingerprint

import (
	"net/netip"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// The tables of the endpoint fold.
const (
	tableHosts    = 'h'
	tablePairs    = 'p'
	tableProfiles = 'c'
)

var (
	hosts    = stream.NewTable[host](tableHosts, 0)              // endpoint -> what every flow changes
	pairs    = stream.NewTable[pair](tablePairs, idLen)          // endpoint, hour, peer, ... -> totals
	profiles = stream.NewTable[profile](tableProfiles, 0)        // endpoint -> evidence and addresses
	devices  = stream.NewTable[deviceState](tableDevices, 0)     // group -> the device as last told
	members  = stream.NewTable[memberState](tableMembers, idLen) // group, endpoint -> last summary
)

const idLen = 16

// host is the hot state of an endpoint: each of its flows changes it, so it stays
// well under 256 bytes encoded.
type host struct {
	site        string
	first, last proto.Time
	since       proto.Time    // when it was silent last, and then spoke: the start of its present span
	ip4, ip6    netip.Addr    // the addresses held now
	seen        roleSet       // roles that have been put down in this window
	window      int64         // number of the window that seen is about
	hours       [2]hourTotals // the two latest hours; index 1 is the later one
	pairCount   uint64        // new pairs in hours[1]
	fresh       uint64        // freshUnknown, freshOpen, freshOver: whether its behaviour is being sketched
	news        uint64        // newsNone, newsTold, newsWaiting: what has been told since the last flush
	unsent      bool          // something has changed since the last summary
	timer       bool          // a flush timer is under way
	cleaning    bool          // a clean timer is under way
	spoke       bool          // it has sent something itself, or somebody spoke for it; else it is no device
	watching    bool          // a watch timer is under way
	vlan        proto.VLAN    // that its flows were in last; 0 for none
	open        bool          // its use has not been told whole since the last change
	ended       bool          // its capture file is over
	anonymous   bool          // not an endpoint: owner of pairs whose ends are both outside
	due         due           // when its timers are
	unwritten   unwritten     // what its profile lacks
}

// The stages of telling news between two flushes.
const (
	newsNone    = iota // nothing told: the next is told at once
	newsTold           // told: the next waits for newsEvery
	newsWaiting        // a news timer is under way
)

// hourTotals is one hour of an endpoint's activity.
type hourTotals struct {
	hour                                     int64 // hours since the epoch; 0 for none
	flows                                    uint64
	packetsOut, bytesOut, packetsIn, bytesIn uint64
	first, last                              proto.Time
	unsent                                   bool
}

const hourNS = proto.Time(3600e9)

func hourOf(t proto.Time) int64 { return int64(t / hourNS) }

const (
	flagUnsent = 1 << iota
	flagTimer
	flagCleaning
	flagAnonymous
	flagSpoke
	flagHour0
	flagHour1
	flagWatching
	flagOpen
	flagEnded
	flagVLAN
	flagUnwritten
	flagDue
	flagUnseen // no roles, which an earlier release writes as well
)

func flagIf(on bool, f uint64) uint64 {
	if on {
		return f
	}
	return 0
}

// AppendTo encodes the host.
func (h *host) AppendTo(b []byte) []byte {
	unseen := h.seen == roleSet{} && h.window == 0
	b = stream.AppendUint(b, flagIf(h.unsent, flagUnsent)|flagIf(h.timer, flagTimer)|flagIf(h.cleaning, flagCleaning)|
		flagIf(h.anonymous, flagAnonymous)|flagIf(h.spoke, flagSpoke)|flagIf(h.hours[0].unsent, flagHour0)|flagIf(h.hours[1].unsent, flagHour1)|
		flagIf(h.watching, flagWatching)|flagIf(h.open, flagOpen)|flagIf(h.ended, flagEnded)|flagIf(h.vlan != 0, flagVLAN)|
		flagIf(!h.unwritten.empty(), flagUnwritten)|flagIf(h.due != (due{}), flagDue)|
		flagIf(unseen, flagUnseen))
	b = stream.AppendString(b, h.site)
	b = stream.AppendInt(b, int64(h.first))
	b = stream.AppendInt(b, int64(h.last-h.first))
	b = appendAddr(appendAddr(b, h.ip4), h.ip6)
	if !unseen {
		for _, s := range h.seen {
			b = stream.AppendUint(b, s)
		}
		b = stream.AppendInt(b, h.window)
	}
	b = stream.AppendUint(stream.AppendUint(stream.AppendUint(b, h.pairCount), h.news), h.fresh)
	if h.vlan != 0 {
		b = stream.AppendUint(b, uint64(h.vlan))
	}
	for i := range h.hours {
		t := &h.hours[i]
		b = stream.AppendInt(b, t.hour)
		if t.hour == 0 {
			continue
		}
		start := proto.Time(t.hour) * hourNS
		for _, n := range [...]uint64{t.flows, t.packetsOut, t.bytesOut, t.packetsIn, t.bytesIn} {
			b = stream.AppendUint(b, n)
		}
		b = stream.AppendInt(stream.AppendInt(b, int64(t.first-start)), int64(t.last-start))
	}
	if h.due != (due{}) {
		b = h.due.appendTo(b, h.last)
	}
	if !h.unwritten.empty() {
		b = h.unwritten.appendTo(b, h.last)
	}
	if h.since == 0 {
		return b
	}
	return stream.AppendInt(b, int64(h.last-h.since))
}

// Parse decodes the host.
func (h *host) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	f := d.Uint()
	*h = host{
		unsent: f&flagUnsent != 0, timer: f&flagTimer != 0, cleaning: f&flagCleaning != 0, anonymous: f&flagAnonymous != 0, spoke: f&flagSpoke != 0,
		watching: f&flagWatching != 0, open: f&flagOpen != 0, ended: f&flagEnded != 0,
	}
	h.site = d.String()
	h.first = proto.Time(d.Int())
	h.last = h.first + proto.Time(d.Int())
	h.ip4, h.ip6 = readAddr(d), readAddr(d)
	if f&flagUnseen == 0 {
		for i := range h.seen {
			h.seen[i] = d.Uint()
		}
		h.window = d.Int()
	}
	h.pairCount, h.news, h.fresh = d.Uint(), d.Uint(), d.Uint()
	if f&flagVLAN != 0 {
		h.vlan = proto.VLAN(d.Uint())
	}
	for i := range h.hours {
		t := &h.hours[i]
		if t.hour = d.Int(); t.hour == 0 {
			continue
		}
		start := proto.Time(t.hour) * hourNS
		t.flows, t.packetsOut, t.bytesOut, t.packetsIn, t.bytesIn = d.Uint(), d.Uint(), d.Uint(), d.Uint(), d.Uint()
		t.first, t.last = start+proto.Time(d.Int()), start+proto.Time(d.Int())
		t.unsent = f&(flagHour0<<i) != 0
	}
	if f&flagDue != 0 {
		h.due.parse(d, h.last)
	}
	if f&flagUnwritten != 0 {
		h.unwritten.parse(d, h.last)
	}
	if d.More() {
		h.since = h.last - proto.Time(d.Int())
	}
	return d.Err()
}

func appendAddr(b []byte, a netip.Addr) []byte {
	switch {
	case !a.IsValid():
		return append(b, 0)
	case a.Is4():
		v := a.As4()
		return append(append(b, 4), v[:]...)
	default:
		v := a.As16()
		return append(append(b, 16), v[:]...)
	}
}

func readAddr(d *stream.Decoder) netip.Addr {
	switch d.Uint() {
	case 4:
		var v [4]byte
		d.Fixed(v[:])
		return netip.AddrFrom4(v)
	case 16:
		var v [16]byte
		d.Fixed(v[:])
		return netip.AddrFrom16(v)
	}
	return netip.Addr{}
}

// advance makes room for the hour of t and gives the totals that an event of t
// counts into. What is later than the two hours that are kept counts into the
// older one, so that no total is ever lost or begun anew.
func (h *host) advance(tx *stream.Tx, id proto.ID, t proto.Time) *hourTotals {
	hour := hourOf(t)
	if hour > h.hours[1].hour {
		h.sendHour(tx, id, 0)
		h.hours[0], h.hours[1] = h.hours[1], hourTotals{hour: hour}
		h.pairCount = 0
	}
	if hour == h.hours[1].hour {
		return &h.hours[1]
	}
	if h.hours[0].hour == 0 {
		h.hours[0].hour = hour
	}
	return &h.hours[0]
}

// sendHour tells an hour's activity, when it has changed since it was last told.
func (h *host) sendHour(tx *stream.Tx, id proto.ID, i int) {
	t := &h.hours[i]
	if !t.unsent || h.anonymous {
		return
	}
	t.unsent = false
	tx.Rollup(proto.Rollup{Activity: &proto.Activity{
		Site: h.site, Hour: proto.Time(t.hour) * hourNS, Endpoint: id, Flows: t.flows, PacketsOut: t.packetsOut, BytesOut: t.bytesOut,
		PacketsIn: t.packetsIn, BytesIn: t.bytesIn, First: t.first, Last: t.last,
	}})
}

// count adds one part of a flow, out being what the endpoint sent.
func (t *hourTotals) count(f *proto.Flow, asServer bool) {
	if f.Part == 0 {
		t.flows++
	}
	op, ob, ip, ib := f.SrcPackets, f.SrcBytes, f.DstPackets, f.DstBytes
	if asServer {
		op, ob, ip, ib = ip, ib, op, ob
	}
	t.packetsOut += op
	t.bytesOut += ob
	t.packetsIn += ip
	t.bytesIn += ib
	if t.first == 0 || f.Start < t.first {
		t.first = f.Start
	}
	t.last = max(t.last, f.End)
	t.unsent = true
}
