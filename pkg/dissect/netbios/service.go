package netbios

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is both services.
var Protocol = dissector.Protocol{Name: "netbios", Ports: []uint16{portNames, portDatagrams}, Datagram: datagram}

const (
	portNames     = 137
	portDatagrams = 138

	maxTold  = 128 // facts of a flow: of a segment's broadcasts for the most part
	maxTable = 64  // names of a node status
	maxAddrs = 25  // RFC 1002 4.2.13 allows more, no host has them
)

// The head of a name service packet (RFC 1002 4.2.1):
//
//	0 id   2 response(1) operation(4) flags(7) result(4)   4 questions   6 answers   8 authorities   10 additionals   12 names
const headSize = 12

const (
	typeNB     = 0x20
	typeStatus = 0x21
	classIN    = 1

	flagGroup = 0x8000 // of a name
)

// operations are those of the name service that have facts.
var operations = map[byte]string{0: "query", 5: "registration", 6: "release", 7: "wait", 8: "refresh", 9: "refresh", 15: "registration"}

func datagram(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
	h := c.Headers
	if len(b) < headSize {
		return dissector.No
	}
	if h.SrcPort == portDatagrams || h.DstPort == portDatagrams {
		if service138(c, b) {
			return dissector.Yes
		}
		return dissector.No
	}
	p := packet{c: c, b: b}
	if !p.read() {
		return dissector.No
	}
	p.tell()
	return dissector.Yes
}

// packet is one of the name service.
type packet struct {
	c         *dissector.Context
	b         []byte
	operation string
	response  bool
	result    byte
	question  name
	asked     uint16 // type
	off       int    // of the first record
	answers   int
	more      int // additional records
}

// read takes the head and the question; a response has the name in its record.
func (p *packet) read() bool {
	flags := binary.BigEndian.Uint16(p.b[2:])
	p.operation = operations[byte(flags>>11&15)]
	p.response, p.result = flags&0x8000 != 0, byte(flags&15)
	questions := int(binary.BigEndian.Uint16(p.b[4:]))
	p.answers, p.more = int(binary.BigEndian.Uint16(p.b[6:])), int(binary.BigEndian.Uint16(p.b[10:]))
	if p.operation == "" || questions > 1 || p.answers > 1 || p.more > 1 || binary.BigEndian.Uint16(p.b[8:]) > 1 || questions+p.answers == 0 || flags&0x60 != 0 {
		return false
	}
	p.off = headSize
	var ok bool
	if questions == 0 {
		p.question, _, ok = readName(p.b, p.off)
		return ok && p.response
	}
	if p.question, p.off, ok = readName(p.b, p.off); !ok || p.off+4 > len(p.b) {
		return false
	}
	p.asked = binary.BigEndian.Uint16(p.b[p.off:])
	class := binary.BigEndian.Uint16(p.b[p.off+2:])
	p.off += 4
	return class == classIN && (p.asked == typeNB || p.asked == typeStatus)
}

// record reads the one record: type and data.
func (p *packet) record() (n name, kind uint16, data []byte, ok bool) {
	n, off, ok := readName(p.b, p.off)
	if !ok || off+10 > len(p.b) {
		return n, 0, nil, false
	}
	kind = binary.BigEndian.Uint16(p.b[off:])
	end := off + 10 + int(binary.BigEndian.Uint16(p.b[off+8:]))
	if end > len(p.b) {
		return n, 0, nil, false
	}
	return n, kind, p.b[off+10 : end], true
}

// tell says who has the name, or who looks for one.
func (p *packet) tell() {
	f := dissector.Fact{Kind: p.operation, Subject: dissector.Subject{Side: p.c.Side}}
	a := &f.Attributes
	switch {
	case !p.response && p.operation == "query":
		a.Set("role", "client")
		a.Set("name_type", roles[p.question.suffix])
		if p.asked == typeStatus {
			f.Kind = "node_status_query"
		}
	case !p.response && p.more == 1: // registration, refresh, release: the record is the sender's
		_, kind, data, ok := p.record()
		if !ok || kind != typeNB || len(data) < 6 {
			p.c.Count("netbios_record_malformed")
			return
		}
		flags := binary.BigEndian.Uint16(data)
		describe(a, p.question, flags&flagGroup != 0)
		a.Set("node_type", [...]string{"b", "p", "m", "h"}[flags>>13&3])
		if ip := netip.AddrFrom4([4]byte(data[2:])); !ip.IsUnspecified() {
			a.Set("ip", ip.String())
		}
	case p.response && p.answers == 1:
		p.answer()
		return
	default:
		return
	}
	told(p.c, &f)
}

// describe says what having a name tells of a host.
func describe(a *proto.Attributes, n name, group bool) {
	a.Set("computer_name", n.host(group))
	a.Set("netbios_domain", n.domain(group))
	if r := n.role(group); r != "" {
		a.SetList("roles", []string{r})
	}
}

// answer reads a response: of a query the addresses of the name, of a status the
// whole table; of a registration the server that keeps the names.
func (p *packet) answer() {
	n, kind, data, ok := p.record()
	if !ok {
		p.c.Count("netbios_record_malformed")
		return
	}
	f := dissector.Fact{Kind: p.operation + "_response", Subject: dissector.Subject{Side: p.c.Side}}
	if kind == typeStatus {
		f.Kind = "node_status"
		if !table(&f.Attributes, data) {
			p.c.Count("netbios_record_malformed")
			return
		}
		told(p.c, &f)
		return
	}
	f.Attributes.Set("role", "server")
	told(p.c, &f)
	if p.operation != "query" || p.result != 0 || kind != typeNB {
		return
	}
	for i := 0; i+6 <= len(data) && i < 6*maxAddrs; i += 6 {
		group := binary.BigEndian.Uint16(data[i:])&flagGroup != 0
		ip := netip.AddrFrom4([4]byte(data[i+2 : i+6]))
		x := dissector.Fact{Kind: "name", Subject: dissector.Subject{Side: dissector.Other, IP: ip}}
		describe(&x.Attributes, n, group)
		if ip == p.c.Headers.SrcIP {
			x.Subject.Side = p.c.Side
		}
		many := group && n.suffix == suffixWorkstation // the whole domain
		if len(x.Attributes) > 0 && !many && !ip.IsUnspecified() && p.c.Inside(ip) {
			told(p.c, &x)
		}
	}
}

// table reads a node status (RFC 1002 4.2.18): a count, names of 16 bytes with two
// of flags, and the adapter's address.
func table(a *proto.Attributes, data []byte) bool {
	if len(data) < 1 || len(data) < 1+18*int(data[0]) {
		return false
	}
	count := int(data[0])
	var list []string
	for i := range min(count, maxTable) {
		raw := data[1+18*i:]
		var n name
		n.set([letters / 2]byte(raw[:letters/2]))
		group := binary.BigEndian.Uint16(raw[16:])&flagGroup != 0
		if v := n.host(group); v != "" && a.Get("computer_name") == "" {
			a.Set("computer_name", v)
		}
		if v := n.domain(group); v != "" && a.Get("netbios_domain") == "" {
			a.Set("netbios_domain", v)
		}
		if r := n.role(group); r != "" && !slices.Contains(list, r) {
			list = append(list, r)
		}
	}
	a.SetList("roles", list)
	if rest := data[1+18*count:]; len(rest) >= 6 {
		if m := proto.MAC(rest[:6]); !m.IsZero() && !m.IsGroup() {
			a.Set("mac", m.String())
		}
	}
	return true
}

// state is which facts of a flow were told.
type state struct{ told []uint64 }

// End has nothing to say: what there was was told at once.
func (s *state) End(*dissector.Context) {}

// Size is about how many bytes are kept.
func (s *state) Size() int { return 48 + 8*cap(s.told) }

// told emits what was not said of the flow yet.
func told(c *dissector.Context, f *dissector.Fact) {
	s, _ := c.State.(*state)
	if s == nil {
		s = new(state)
		c.State = s
	}
	h := xxhash.New()
	_, _ = h.WriteString(f.Kind)
	ip := f.Subject.IP.As16()
	_, _ = h.Write(append(ip[:], byte(c.Side)))
	for _, x := range f.Attributes {
		_, _ = h.WriteString(x.Name + "=" + x.Value + ";")
		for _, v := range x.List {
			_, _ = h.WriteString(v + ",")
		}
	}
	sum := h.Sum64()
	if slices.Contains(s.told, sum) || len(s.told) == maxTold {
		return
	}
	s.told = append(s.told, sum)
	c.Emit(f)
}
