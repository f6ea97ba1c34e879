package dissecttest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// Key is the HMAC key of the tests.
var Key = []byte("key of the tests")

// Fact is a fact with the ends of its flow.
type Fact struct {
	dissect.Fact
	SrcIP, DstIP     netip.Addr // of the flow: who opened it, and the other end
	SrcPort, DstPort uint16
	Transport        proto.Transport
}

// Speaker is the address of the fact's side.
func (f *Fact) Speaker() netip.Addr {
	if f.Subject.Side == dissect.Dst {
		return f.DstIP
	}
	return f.SrcIP
}

// JSON is the fact's attributes.
func (f *Fact) JSON() string {
	b, err := f.Attributes.MarshalJSON()
	if err != nil { // strings always marshal
		panic(err)
	}
	return string(b)
}

// KindSide is a fact as "kind side attributes".
func KindSide(f *Fact) string { return fmt.Sprintf("%s %d %s", f.Kind, f.Subject.Side, f.JSON()) }

// SideKind is a fact as "side kind attributes".
func SideKind(f *Fact) string { return fmt.Sprintf("%d %s %s", f.Subject.Side, f.Kind, f.JSON()) }

// Flow is a flow's label.
type Flow struct {
	SrcIP, DstIP     netip.Addr
	SrcPort, DstPort uint16
	Transport        proto.Transport
	dissect.Flow
}

// Result is what came out.
type Result struct {
	Facts    []Fact
	Flows    []*Flow
	Counters map[string]uint64
	Panics   []string
}

// Kinds counts the facts by protocol and kind, "hl7 oru_r01".
func (r *Result) Kinds() map[string]int {
	m := map[string]int{}
	for _, f := range r.Facts {
		m[f.Protocol+" "+f.Kind]++
	}
	return m
}

// Counts sums up what the lists of an attribute count, as "name:count", over all facts
// of a kind.
func (r *Result) Counts(tb testing.TB, protocol, kind, attribute string) map[string]int {
	tb.Helper()
	m := map[string]int{}
	for _, f := range r.Of(protocol, kind) {
		for _, s := range f.Attributes.List(attribute) {
			name, n, _ := strings.Cut(s, ":")
			x, err := strconv.Atoi(n)
			if err != nil {
				tb.Fatal(err)
			}
			m[name] += x
		}
	}
	return m
}

// Lines is each fact in a form of the test's.
func (r *Result) Lines(form func(*Fact) string) []string {
	var list []string
	for i := range r.Facts {
		list = append(list, form(&r.Facts[i]))
	}
	return list
}

// Of gives the facts of a protocol and kind.
func (r *Result) Of(protocol, kind string) []Fact {
	var list []Fact
	for _, f := range r.Facts {
		if f.Protocol == protocol && f.Kind == kind {
			list = append(list, f)
		}
	}
	return list
}

// Text is every fact on a line of its own, without its time: two runs that saw
// the same in other pieces have the same text.
func (r *Result) Text() string {
	var out []byte
	for _, f := range r.Facts {
		a, err := json.Marshal(f.Attributes)
		if err != nil { // strings always marshal
			panic(err)
		}
		s := f.Subject
		out = fmt.Appendf(out, "%s %s side=%d mac=%s ip=%s equipment=%q gateway=%d %s\n", f.Protocol, f.Kind, s.Side, s.MAC, s.IP, s.Equipment, s.Gateway, a)
	}
	return string(out)
}

// Everything is all that left the engine: facts with their times, labels,
// counters, panic sites.
func (r *Result) Everything() []byte {
	out := []byte(r.Text())
	for _, f := range r.Flows {
		out = fmt.Appendf(out, "%s %s %v\n", f.Protocol, f.By, f.Inner)
	}
	return fmt.Appendf(out, "%v %v\n", r.Counters, r.Panics)
}

// Runner feeds an engine.
type Runner struct {
	Engine *dissect.Engine
	Result Result
	dec    packet.Decoder
	flows  map[key]*entry
}

type key struct {
	transport proto.Transport
	a, b      netip.AddrPort
}

type entry struct {
	Flow
	src    netip.AddrPort
	isn    uint32
	syn    bool
	closed bool
}

// NewRunner makes a Runner; cfg's Emit, Key and OnPanic are its own.
func NewRunner(cfg dissect.Config) *Runner {
	r := &Runner{flows: map[key]*entry{}}
	cfg.Key = Key
	cfg.Emit = func(p *dissect.Packet, f *dissect.Fact) {
		h := p.Headers
		x := Fact{Fact: *f, SrcIP: h.SrcIP, DstIP: h.DstIP, SrcPort: h.SrcPort, DstPort: h.DstPort, Transport: h.Transport}
		if !p.FromSrc {
			x.SrcIP, x.DstIP, x.SrcPort, x.DstPort = x.DstIP, x.SrcIP, x.DstPort, x.SrcPort
		}
		r.Result.Facts = append(r.Result.Facts, x)
	}
	cfg.OnPanic = func(protocol, site string) { r.Result.Panics = append(r.Result.Panics, protocol+" "+site) }
	r.Engine = dissect.New(cfg)
	return r
}

// Headers feeds one packet.
func (r *Runner) Headers(h *packet.Headers) {
	if !h.IsIP() {
		r.Engine.Packet(&dissect.Packet{Headers: h, FromSrc: true})
		return
	}
	src, dst := netip.AddrPortFrom(h.SrcIP, h.SrcPort), netip.AddrPortFrom(h.DstIP, h.DstPort)
	k := key{h.Transport, src, dst}
	if dst.Compare(src) < 0 {
		k.a, k.b = dst, src
	}
	e := r.flows[k]
	opening := h.Transport == proto.TCP && h.TCPFlags&packet.SYN != 0 && h.TCPFlags&packet.ACK == 0
	if e == nil || (opening && e.closed && e.isn != h.Seq) {
		if e != nil {
			r.Engine.Close(&e.Flow.Flow)
		}
		e = &entry{src: src, isn: h.Seq, syn: opening}
		e.SrcIP, e.DstIP, e.SrcPort, e.DstPort, e.Transport = h.SrcIP, h.DstIP, h.SrcPort, h.DstPort, h.Transport
		r.flows[k] = e
		r.Result.Flows = append(r.Result.Flows, &e.Flow)
	}
	if h.TCPFlags&(packet.FIN|packet.RST) != 0 {
		e.closed = true
	}
	r.Engine.Packet(&dissect.Packet{Headers: h, Flow: &e.Flow.Flow, FromSrc: src == e.src, Syn: e.syn})
}

// Frames feeds captured frames.
func (r *Runner) Frames(list []Frame) {
	var h packet.Headers
	for i := range list {
		f := &list[i]
		if r.dec.Decode(f.LinkType, f.Time, f.Data, f.WireLen, &h) == packet.OK {
			r.Headers(&h)
		}
	}
}

// Finish closes all flows in the order in which they began.
func (r *Runner) Finish() *Result {
	for _, f := range r.Result.Flows {
		r.Engine.Close(&f.Flow)
	}
	r.Result.Counters = r.Engine.Counters()
	return &r.Result
}

// Run feeds frames to a new engine and closes it.
func Run(cfg dissect.Config, list []Frame) *Result {
	r := NewRunner(cfg)
	r.Frames(list)
	return r.Finish()
}

// Chunk is a run of payload of one side (0 opened the connection).
type Chunk struct {
	Side int
	Data []byte
}

// Conversation is what both ends of a TCP connection said, in order.
type Conversation []Chunk

// Conversations puts the TCP connections of a capture together again, taking each
// segment as it comes: for captures without loss.
func Conversations(list []Frame) []Conversation {
	var dec packet.Decoder
	var h packet.Headers
	var order []key
	convs := map[key]*Conversation{}
	openers := map[key]netip.AddrPort{}
	for i := range list {
		f := &list[i]
		if dec.Decode(f.LinkType, f.Time, f.Data, f.WireLen, &h) != packet.OK || h.Transport != proto.TCP || !h.IsIP() || len(h.Payload) == 0 {
			continue
		}
		src, dst := netip.AddrPortFrom(h.SrcIP, h.SrcPort), netip.AddrPortFrom(h.DstIP, h.DstPort)
		k := key{h.Transport, src, dst}
		if dst.Compare(src) < 0 {
			k.a, k.b = dst, src
		}
		if convs[k] == nil {
			convs[k], openers[k] = new(Conversation), src
			order = append(order, k)
		}
		side := 0
		if src != openers[k] {
			side = 1
		}
		*convs[k] = append(*convs[k], Chunk{side, slices.Clone(h.Payload)})
	}
	var out []Conversation
	for _, k := range order {
		out = append(out, *convs[k])
	}
	return out
}

// Sides are the bytes of each side.
func (c Conversation) Sides() (said [2][]byte) {
	for _, x := range c {
		said[x.Side] = append(said[x.Side], x.Data...)
	}
	return said
}

// Sizes is the number of bytes that each side said.
func (c Conversation) Sizes() (n [2]int) {
	for _, x := range c {
		n[x.Side] += len(x.Data)
	}
	return n
}

// Cut gives the conversation with the chunks cut at the given offsets of the
// whole, counted over both sides.
func (c Conversation) Cut(offsets ...int) Conversation {
	slices.Sort(offsets)
	var out Conversation
	at := 0
	for _, x := range c {
		rest := x.Data
		for _, o := range offsets {
			if n := o - at; n > 0 && n < len(rest) {
				out = append(out, Chunk{x.Side, rest[:n]})
				rest = rest[n:]
				at += n
			}
		}
		out = append(out, Chunk{x.Side, rest})
		at += len(rest)
	}
	return out
}

// Join gives the conversation with neighbouring chunks of one side put together.
func (c Conversation) Join() Conversation {
	var out Conversation
	for _, x := range c {
		if n := len(out); n > 0 && out[n-1].Side == x.Side {
			out[n-1].Data = slices.Concat(out[n-1].Data, x.Data)
			continue
		}
		out = append(out, x)
	}
	return out
}

// Ends are the addresses of an invented connection.
type Ends struct {
	MAC  [2]proto.MAC
	IP   [2]netip.Addr
	Port [2]uint16
}

// Client and server of the connections that the tests invent.
var someEnds = Ends{
	MAC:  [2]proto.MAC{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}},
	IP:   [2]netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("10.1.2.4")},
	Port: [2]uint16{40000, 9999},
}

// Segments are the packets of a conversation, one a chunk, between a handshake
// and FINs; without the handshake they are midstream.
func (c Conversation) Segments(handshake bool) []packet.Headers {
	var seq [2]uint32
	seq[0], seq[1] = 0xffff_ff00, 0x7fff_fff0
	var out []packet.Headers
	now := proto.Time(0)
	add := func(side int, flags uint8, data []byte) {
		e := &someEnds
		now += proto.Time(1e6)
		out = append(out, packet.Headers{
			Time: now, SrcMAC: e.MAC[side], DstMAC: e.MAC[1-side], EtherType: packet.EtherTypeIPv4,
			SrcIP: e.IP[side], DstIP: e.IP[1-side], Transport: proto.TCP, SrcPort: e.Port[side], DstPort: e.Port[1-side],
			TCPFlags: flags, Seq: seq[side], Ack: seq[1-side], Payload: data, PayloadLen: len(data), Packets: 1,
		})
		seq[side] += uint32(len(data))
		if flags&(packet.SYN|packet.FIN) != 0 {
			seq[side]++
		}
	}
	if handshake {
		add(0, packet.SYN, nil)
		add(1, packet.SYN|packet.ACK, nil)
	}
	for _, x := range c {
		add(x.Side, packet.ACK|packet.PSH, x.Data)
	}
	add(0, packet.FIN|packet.ACK, nil)
	add(1, packet.FIN|packet.ACK, nil)
	return out
}

// Play feeds packets to a new engine and closes it.
func Play(cfg dissect.Config, list []packet.Headers) *Result {
	r := NewRunner(cfg)
	for i := range list {
		r.Headers(&list[i])
	}
	return r.Finish()
}

// Datagram is a UDP packet between the invented ends.
func Datagram(side int, port [2]uint16, data []byte) packet.Headers {
	e := &someEnds
	return packet.Headers{
		SrcMAC: e.MAC[side], DstMAC: e.MAC[1-side], EtherType: packet.EtherTypeIPv4, SrcIP: e.IP[side], DstIP: e.IP[1-side],
		Transport: proto.UDP, SrcPort: port[side], DstPort: port[1-side], Payload: data, PayloadLen: len(data), Packets: 1,
	}
}
