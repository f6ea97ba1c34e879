package dns

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// The protocols: one wire format, three ports.
var (
	Protocol = dissector.Protocol{
		Name: "dns", Ports: []uint16{53}, Datagram: dnsDatagram,
		Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
	}
	MDNS  = dissector.Protocol{Name: "mdns", Ports: []uint16{portMDNS}, Datagram: onPort(portMDNS, multicast)}
	LLMNR = dissector.Protocol{Name: "llmnr", Ports: []uint16{portLLMNR}, Datagram: onPort(portLLMNR, link)}
)

const (
	portDNS   = 53
	portMDNS  = 5353
	portLLMNR = 5355

	maxQuestions = 256 // of one message
	maxHostFacts = 32  // name facts of one message
)

// scope is where the names of a message mean something.
type scope uint8

const (
	global    scope = iota // domains
	link                   // hosts of the link: the last labels are no domain
	multicast              // the same, with services on them
)

func dnsDatagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	h := c.Headers
	whole := len(h.Payload) == h.PayloadLen
	return dissect(c, b, known || h.SrcPort == portDNS || h.DstPort == portDNS, whole, global)
}

// onPort makes the datagram function of a protocol that only its port tells from
// DNS.
func onPort(port uint16, in scope) func(*dissector.Context, []byte, bool) dissector.Verdict {
	return func(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
		if c.Headers.SrcPort != port && c.Headers.DstPort != port {
			return dissector.No
		}
		return dissect(c, b, true, true, in)
	}
}

// dissect reads one message and emits its facts. mild asks only for what any
// message on the protocol's own port has.
func dissect(c *dissector.Context, b []byte, mild, whole bool, in scope) dissector.Verdict {
	m, ok := open(b)
	if !ok {
		return dissector.No
	}
	var n name
	var r record
	if !mild {
		if !m.strict(&n, &r, whole) {
			return dissector.No
		}
	}
	q := question{off: headerSize}
	if !m.plausible() || !q.read(&m, &n) {
		return dissector.No
	}
	switch op := m.opcode(); {
	case op == opQuery:
	case in == global && (op == opNotify || op == opUpdate):
		q.operate(c, &m, &n, &r)
		return dissector.Yes
	default:
		c.Count("dns_opcode") // inverse queries, the state of a server: nobody uses them
		return dissector.Yes
	}
	var d *discovery
	if in == multicast {
		d = discover(c, &m, q.off)
	}
	q.emit(c, &m, &n, in, d)
	if m.response() {
		hosts(c, &m, q.off, &r, in)
	}
	d.emit(c)
	return dissector.Yes
}

// plausible holds for any message: it asks or says something, of a known kind,
// and not too many questions at once (mDNS asks several).
func (m *message) plausible() bool {
	total := m.counts[0] + m.counts[1] + m.counts[2] + m.counts[3]
	return total > 0 && m.opcode() <= 6 && m.counts[0] <= maxQuestions
}

// question is the first question, and where the records begin.
type question struct {
	asked bool
	qtype uint16
	off   int
}

// read goes over all questions; n is left at the first.
func (q *question) read(m *message, n *name) bool {
	var other name
	for i := range m.counts[0] {
		into := n
		if i > 0 {
			into = &other
		}
		qtype, _, end, ok := m.question(q.off, into)
		if !ok {
			return false
		}
		if i == 0 {
			q.asked, q.qtype = true, qtype
		}
		q.off = end
	}
	return true
}

// emit says who asked or answered what kind of question.
func (q *question) emit(c *dissector.Context, m *message, n *name, in scope, d *discovery) {
	f := dissector.Fact{Kind: "query", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	if m.response() {
		f.Kind = "response"
		a.Set("role", "server")
		a.Set("rcode", rcodeNames[m.rcode()])
		a.Set("answers_count", strconv.Itoa(m.counts[1]))
	} else {
		a.Set("role", "client")
	}
	q.answered(m, n)
	q.shape(a, n, in)
	a.SetList("service_types", d.typesOf(c))
	if in == global {
		flags(a, m)
		options(a, m, q.off)
	}
	c.Emit(&f)
}

// answered takes for the question what a response without one, as mDNS's are (RFC 6762 6)
// and later ones of a zone's transfer, answers first.
func (q *question) answered(m *message, n *name) {
	if q.asked || !m.response() || m.counts[1] == 0 {
		return
	}
	if end, ok := m.name(q.off, n); ok && end+2 <= len(m.b) {
		q.asked, q.qtype = true, binary.BigEndian.Uint16(m.b[end:])
	}
}

// shape tells of a name that is asked for its form, and what it ends in.
func (q *question) shape(a *proto.Attributes, n *name, in scope) {
	if !q.asked {
		return
	}
	a.Set("qtype", typeName(q.qtype))
	a.Set("name_len", strconv.Itoa(n.n))
	a.Set("labels", strconv.Itoa(n.labels))
	a.Set("entropy", strconv.FormatFloat(entropy(n.below(2)), 'f', 2, 64))
	if in == global && n.labels >= 2 && hostname(n.last(2)) {
		a.Set("domain", string(n.last(2)))
	}
}

func typeName(t uint16) string {
	if s := typeNames[t]; s != "" {
		return s
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// below is the name without its last k labels: what a tunnel would carry its
// data in.
func (n *name) below(k int) []byte {
	if n.labels <= k {
		return nil
	}
	return n.text[:n.starts[n.labels-k]-1]
}

// entropy is Shannon's, in bits per character, dots left out; 0 for nothing.
func entropy(b []byte) float64 {
	var seen [256]int
	total := 0
	for _, c := range b {
		if c != '.' {
			seen[c]++
			total++
		}
	}
	e := 0.0
	for _, k := range seen {
		if k > 0 {
			p := float64(k) / float64(total)
			e -= p * math.Log2(p)
		}
	}
	return math.Abs(e)
}

// hosts emits the names that the answers give to inside addresses: of an A or
// AAAA record its owner, of a PTR in the reverse zones its data. On the link
// (mDNS) the addresses are among the additional records.
func hosts(c *dissector.Context, m *message, off int, r *record, in scope) {
	records := m.counts[1]
	if in != global {
		records += m.counts[2] + m.counts[3]
	}
	emitted := 0
	for range min(records, maxRecords) {
		var ok bool
		if off, ok = m.record(off, r); !ok {
			if in != multicast { // else discover has counted it
				c.Count("dns_record_malformed")
			}
			return
		}
		if in == multicast && r.ttl == 0 {
			continue // goodbye: the host no longer has the address
		}
		ip, host := r.host(m)
		if !ip.IsValid() || host == nil || !c.Inside(ip) {
			continue
		}
		if emitted++; emitted > maxHostFacts {
			c.Count("dns_names_skipped")
			return
		}
		f := dissector.Fact{Kind: "name", Subject: dissector.Subject{Side: dissector.Other, IP: ip}}
		switch ip {
		case c.Headers.SrcIP:
			f.Subject.Side = c.Side
		case c.Headers.DstIP:
			f.Subject.Side = c.Side.Peer()
		}
		f.Attributes.Set("hostname", dissector.Text(host, maxName))
		c.Emit(&f)
	}
}

// host gives the address and the host name that a record ties together.
func (r *record) host(m *message) (ip netip.Addr, host []byte) {
	data := m.b[r.data : r.data+r.size]
	switch {
	case r.class&0x7fff != 1: // the top bit is mDNS's cache flush
	case r.kind == 1 && r.size == 4, r.kind == 28 && r.size == 16:
		ip, _ = netip.AddrFromSlice(data)
		return ip.Unmap(), slices.Clone(r.owner.bytes())
	case r.kind == 12:
		if ip = reverse(&r.owner); !ip.IsValid() {
			return ip, nil
		}
		var n name
		if _, ok := m.name(r.data, &n); ok && n.n > 0 {
			return ip, slices.Clone(n.bytes())
		}
	}
	return netip.Addr{}, nil
}

// reverse reads an address out of a name of in-addr.arpa or ip6.arpa (RFC 1035
// 3.5, RFC 3596 2.5).
func reverse(n *name) netip.Addr {
	switch zone := string(n.last(2)); {
	case zone == "in-addr.arpa" && n.labels == 6:
		var a [4]byte
		for i := range a {
			v, err := strconv.ParseUint(string(n.label(3-i)), 10, 8)
			if err != nil {
				return netip.Addr{}
			}
			a[i] = byte(v)
		}
		return netip.AddrFrom4(a)
	case zone == "ip6.arpa" && n.labels == 34:
		var a [16]byte
		for i := range 32 {
			v, err := strconv.ParseUint(string(n.label(31-i)), 16, 4)
			if err != nil {
				return netip.Addr{}
			}
			a[i/2] |= byte(v) << (4 * (1 - i%2))
		}
		return netip.AddrFrom16(a).Unmap()
	}
	return netip.Addr{}
}
