package packet

import (
	"container/list"
	"net/netip"
	"slices"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// maxFragments bounds the pieces of one datagram; 65,535 bytes in pieces of 64.
const maxFragments = 1024

// FragmentLimits bound what is kept of incomplete datagrams.
type FragmentLimits struct {
	Bytes     int           // captured bytes kept; default 4 MiB
	Datagrams int           // incomplete datagrams; default 4,096
	Timeout   time.Duration // in event time from the first fragment; default 30 s, as Linux has it
}

func (l *FragmentLimits) orDefault() FragmentLimits {
	v := *l
	if v.Bytes <= 0 {
		v.Bytes = 4 << 20
	}
	if v.Datagrams <= 0 {
		v.Datagrams = 4096
	}
	if v.Timeout <= 0 {
		v.Timeout = 30 * time.Second
	}
	return v
}

// piece is what a fragment's header says of it.
type piece struct {
	id       uint32
	offset   int // bytes
	more, v6 bool
}

// datagramKey tells datagrams apart (RFC 791 3.2, RFC 8200 4.5). For IPv6 the
// next header is the first fragment's alone, so it stays out of the key.
type datagramKey struct {
	src, dst        netip.Addr
	id              uint32
	transport       proto.Transport
	vlan, vlanInner proto.VLAN
	vni             uint32
}

// span is one kept piece of a datagram: length by the headers, data as captured.
type span struct {
	offset, length int
	data           []byte
}

// datagram is one that is not complete yet.
type datagram struct {
	key       datagramKey
	start     proto.Time
	spans     []span // sorted, without overlap
	held      int    // sum of the spans' lengths
	total     int    // length once the last fragment is known, else -1
	far       int    // end of the piece that reaches farthest
	transport proto.Transport
	bytes     int // kept
	packets   int
	ipBytes   int
	overlap   bool
}

// fragments are the incomplete datagrams, oldest first.
type fragments struct {
	byKey map[datagramKey]*list.Element
	order list.List // of *datagram
	bytes int
	now   proto.Time
	// buf has the datagrams put together last, by how many tunnels they were in: one
	// may have come out of another, whose bytes are still needed then.
	buf [MaxTunnels + 1][]byte
}

// fragment keeps body, the IP payload of a fragment with length bytes by its
// headers. With the last missing one it goes on to the transport header of the
// whole datagram, whose Headers then stand for all of its packets.
func (d *Decoder) fragment(h *Headers, body []byte, length int, p piece) Reason {
	if length <= 0 || p.offset+length > 65535 || (p.more && length%8 != 0) {
		return FragmentMalformed
	}
	f := &d.pending
	limits := d.Fragments.orDefault()
	f.now = max(f.now, h.Time)
	d.expire(limits)

	key := datagramKey{src: h.SrcIP, dst: h.DstIP, id: p.id, transport: h.Transport, vlan: h.VLAN, vlanInner: h.VLANInner, vni: h.VNI}
	if p.v6 {
		key.transport = 0
	}
	el := f.byKey[key]
	if el == nil {
		el = f.open(&datagram{key: key, start: f.now, total: -1})
	}
	g, _ := el.Value.(*datagram)
	g.packets++
	g.ipBytes += h.IPBytes
	if p.offset == 0 {
		g.transport = h.Transport
	}
	if r := d.keep(g, span{offset: p.offset, length: length, data: body}, p.more); r != OK {
		f.drop(el)
		d.Counters[r] += uint64(g.packets - 1) // the frame at hand is counted by Decode
		return r
	}
	if g.total < 0 || g.held < g.total {
		d.evict(limits)
		return FragmentWait
	}
	f.drop(el)
	return d.whole(g, h, p)
}

// keep adds a piece to its datagram. Where pieces overlap the first one wins;
// which bytes the receiver would take is not known (RFC 5722 wants none).
func (d *Decoder) keep(g *datagram, s span, more bool) Reason {
	end, want, before := s.offset+s.length, s.length, g.held
	g.far = max(g.far, end)
	if !more && g.total < 0 {
		g.total = end
	}
	if g.total >= 0 && g.far > g.total {
		return FragmentMalformed // bytes behind the last fragment
	}
	i, _ := slices.BinarySearchFunc(g.spans, s.offset, func(x span, o int) int { return x.offset - o })
	if i > 0 {
		s = s.from(g.spans[i-1].end())
	}
	for ; s.length > 0 && i < len(g.spans) && g.spans[i].offset < s.end(); i++ {
		next := g.spans[i]
		if next.offset > s.offset {
			d.insert(g, i, s.until(next.offset))
			i++
		}
		s = s.from(next.end())
	}
	if s.length > 0 {
		d.insert(g, i, s)
	}
	if len(g.spans) > maxFragments {
		return FragmentTooMany
	}
	switch g.held - before {
	case want:
	case 0:
		d.Counters[FragmentDuplicate]++
	default:
		g.overlap = true
	}
	return OK
}

func (s span) end() int { return s.offset + s.length }

// from gives what of s lies at or behind offset.
func (s span) from(offset int) span {
	n := min(max(offset-s.offset, 0), s.length)
	return span{offset: s.offset + n, length: s.length - n, data: s.data[min(n, len(s.data)):]}
}

// until gives what of s lies before offset.
func (s span) until(offset int) span {
	n := offset - s.offset
	return span{offset: s.offset, length: n, data: s.data[:min(n, len(s.data))]}
}

// spanCost is what a kept piece costs besides its bytes.
const spanCost = 64

func (d *Decoder) insert(g *datagram, i int, s span) {
	s.data = slices.Clone(s.data)
	g.spans = slices.Insert(g.spans, i, s)
	g.held += s.length
	g.bytes += len(s.data) + spanCost
	d.pending.bytes += len(s.data) + spanCost
}

// whole puts a complete datagram together and reads its transport header.
func (d *Decoder) whole(g *datagram, h *Headers, p piece) Reason {
	buf := d.pending.buf[h.NTunnels][:0]
	for _, s := range g.spans {
		buf = append(buf, s.data...)
		if len(s.data) < s.length {
			break // cut by the snaplen: what comes behind would stand in the wrong place
		}
	}
	d.pending.buf[h.NTunnels] = buf
	if g.overlap {
		d.Counters[FragmentOverlap]++
	}
	h.Packets, h.IPBytes, h.Transport = g.packets, g.ipBytes, g.transport
	h.Fragment = Fragment{ID: p.id, Count: g.packets, Overlap: g.overlap}
	if p.v6 {
		return d.extensions(uint8(g.transport), buf, g.total, h)
	}
	return d.transport(buf, g.total, h)
}

func (f *fragments) open(g *datagram) *list.Element {
	if f.byKey == nil {
		f.byKey = make(map[datagramKey]*list.Element)
	}
	el := f.order.PushBack(g)
	f.byKey[g.key] = el
	return el
}

func (f *fragments) drop(el *list.Element) *datagram {
	g, _ := f.order.Remove(el).(*datagram)
	delete(f.byKey, g.key)
	f.bytes -= g.bytes
	return g
}

// expire gives up what is older than the timeout, oldest first.
func (d *Decoder) expire(l FragmentLimits) {
	for el := d.pending.order.Front(); el != nil; el = d.pending.order.Front() {
		if g, _ := el.Value.(*datagram); d.pending.now.Sub(g.start) < l.Timeout {
			return
		}
		d.Counters[FragmentIncomplete] += uint64(d.pending.drop(el).packets)
	}
}

// evict gives up the oldest datagrams until the rest fits.
func (d *Decoder) evict(l FragmentLimits) {
	f := &d.pending
	for f.bytes > l.Bytes || f.order.Len() > l.Datagrams {
		d.Counters[FragmentEvicted] += uint64(f.drop(f.order.Front()).packets)
	}
}

// Flush gives up all incomplete datagrams: the capture is over. It counts them.
func (d *Decoder) Flush() {
	for el := d.pending.order.Front(); el != nil; el = d.pending.order.Front() {
		d.Counters[FragmentIncomplete] += uint64(d.pending.drop(el).packets)
	}
}
