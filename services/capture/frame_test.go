package capture

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

const (
	site  = "ward"
	epoch = proto.Time(1_700_000_000_000_000_000)
)

// The cast: a pump and a server on the segment, a router, and who is behind it.
var (
	pumpMAC   = proto.MAC{0, 0x11, 0x22, 0, 0, 1}
	serverMAC = proto.MAC{0, 0x11, 0x22, 0, 0, 2}
	routerMAC = proto.MAC{0, 0x11, 0x22, 0, 0, 0xff}
	broadcast = proto.MAC{255, 255, 255, 255, 255, 255}
	pump      = netip.MustParseAddr("10.0.0.1")
	server    = netip.MustParseAddr("10.0.0.2")
	remote    = netip.MustParseAddr("10.9.0.7")
	outside   = netip.MustParseAddr("8.8.8.8")
)

func at(seconds float64) proto.Time { return epoch.Add(time.Duration(seconds * 1e9)) }

// bench is a Processor under test with all that it has emitted.
type bench struct {
	*Processor
	items []proto.Item
}

func newBench(cfg Config) *bench {
	b := &bench{}
	cfg.Site, cfg.Sensor = site, "tap"
	cfg.Emit = func(it proto.Item) { b.items = append(b.items, it) }
	b.Processor = New(cfg)
	return b
}

func (b *bench) flows() []proto.Item {
	return slices.DeleteFunc(slices.Clone(b.items), func(it proto.Item) bool { return it.Flow == nil })
}

func (b *bench) observations() []*proto.Observation {
	var out []*proto.Observation
	for _, it := range b.items {
		if it.Observation != nil {
			out = append(out, it.Observation)
		}
	}
	return out
}

// frame is an Ethernet frame in the making.
type frame struct {
	from, to proto.MAC
	src, dst netip.Addr
	ttl      byte
	sp, dp   int
	flags    byte // TCP where set, else UDP
	payload  string
}

func (b *bench) send(seconds float64, f frame) {
	raw := f.bytes()
	b.Packet(packet.LinkEthernet, at(seconds), raw, len(raw))
}

func be(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }

func (f frame) bytes() []byte {
	body := slices.Concat(be(f.sp), be(f.dp), be(8+len(f.payload)), be(0), []byte(f.payload))
	next := byte(17)
	if f.flags != 0 {
		next = 6
		body = slices.Concat(be(f.sp), be(f.dp), []byte{0, 0, 0, 9, 0, 0, 0, 10, 0x50, f.flags, 2, 0, 0, 0, 0, 0}, []byte(f.payload))
	}
	if f.ttl == 0 {
		f.ttl = 64
	}
	head := slices.Concat(f.to[:], f.from[:])
	if f.src.Is4() {
		return slices.Concat(head, be(0x800), []byte{0x45, 0}, be(20+len(body)), be(0), be(0), []byte{f.ttl, next, 0, 0}, f.src.AsSlice(), f.dst.AsSlice(), body)
	}
	return slices.Concat(head, be(0x86dd), []byte{0x60, 0, 0, 0}, be(len(body)), []byte{next, f.ttl}, f.src.AsSlice(), f.dst.AsSlice(), body)
}

func (f frame) back() frame {
	f.from, f.to, f.src, f.dst, f.sp, f.dp = f.to, f.from, f.dst, f.src, f.dp, f.sp
	return f
}

func arp(mac proto.MAC, ip netip.Addr) []byte {
	return slices.Concat(broadcast[:], mac[:], be(0x806), []byte{0, 1, 8, 0, 6, 4, 0, 2}, mac[:], ip.AsSlice(), make([]byte, 6), ip.AsSlice())
}

func talk() frame {
	return frame{from: pumpMAC, to: serverMAC, src: pump, dst: server, sp: 40000, dp: 9999, payload: "x"}
}

func headersOf(f frame, seconds float64) *packet.Headers {
	var d packet.Decoder
	h := &packet.Headers{}
	raw := f.bytes()
	d.Decode(packet.LinkEthernet, at(seconds), raw, len(raw), h)
	return h
}
