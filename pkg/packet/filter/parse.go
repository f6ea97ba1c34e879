package filter

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/bpf"

	"github.com/wardflow/wardflow/pkg/packet"
)

// direction is which end of a packet is meant.
type direction int

const (
	srcOrDst direction = iota
	srcOnly
	dstOnly
	srcAndDst
)

func (d direction) of(src, dst node) node {
	switch d {
	case srcOnly:
		return src
	case dstOnly:
		return dst
	case srcAndDst:
		return all(src, dst)
	}
	return anyOf(src, dst)
}

// qualifiers say what an id is. An id alone has those of the one before.
type qualifiers struct {
	proto string // "" for any
	dir   direction
	kind  string // host, net, port, portrange, proto, "" before anything was said
}

// token is a word of the expression.
type token struct {
	text string
	at   int
}

// maxDepth bounds parentheses and negations within one another.
const maxDepth = 100

// parser is a recursive descent over the words of an expression.
type parser struct {
	text  string
	link  packet.LinkType
	words []token
	next  int
	last  qualifiers
	depth int
}

func (p *parser) parse() (node, error) {
	p.split()
	n, err := p.expression()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.text != "" {
		if t.text == ")" {
			return nil, p.wrong(t, "there is no opening parenthesis for it")
		}
		return nil, p.wrong(t, "want and, or, or the end")
	}
	return n, nil
}

// split takes the expression apart at blanks and operators.
func (p *parser) split() {
	for i := 0; i < len(p.text); {
		rest := p.text[i:]
		n := 1
		switch {
		case strings.ContainsRune(" \t\r\n", rune(rest[0])):
			i++
			continue
		case strings.HasPrefix(rest, "&&"), strings.HasPrefix(rest, "||"):
			n = 2
		case strings.ContainsRune("()!", rune(rest[0])):
		default:
			if n = strings.IndexAny(rest, " \t\r\n()!&|"); n < 0 {
				n = len(rest)
			}
			n = max(n, 1)
		}
		p.words = append(p.words, token{rest[:n], i})
		i += n
	}
}

func (p *parser) peek() token {
	if p.next < len(p.words) {
		return p.words[p.next]
	}
	return token{"", len(p.text)}
}

func (p *parser) take() token {
	t := p.peek()
	p.next++
	return t
}

func (p *parser) accept(words ...string) bool {
	for _, w := range words {
		if p.peek().text == w {
			p.next++
			return true
		}
	}
	return false
}

func (p *parser) wrong(t token, format string, args ...any) error {
	return &Error{Expression: p.text, At: t.at, Reason: fmt.Sprintf(format, args...)}
}

// expression reads terms with and and or between them; they bind alike.
func (p *parser) expression() (node, error) {
	n, err := p.term()
	for err == nil {
		var m node
		switch {
		case p.accept("and", "&&"):
			m, err = p.term()
			n = both{n, m}
		case p.accept("or", "||"):
			m, err = p.term()
			n = either{n, m}
		default:
			return n, nil
		}
	}
	return nil, err
}

func (p *parser) term() (node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.wrong(p.peek(), "more than %d parentheses and negations within one another", maxDepth)
	}
	defer func() { p.depth-- }()
	switch {
	case p.accept("not", "!"):
		n, err := p.term()
		return negated{n}, err
	case p.peek().text == "(":
		open := p.take()
		n, err := p.expression()
		if err == nil && !p.accept(")") {
			if t := p.peek(); t.text != "" {
				return nil, p.wrong(t, "want and, or, or )")
			}
			return nil, p.wrong(open, "this parenthesis is not closed")
		}
		return n, err
	}
	return p.primitive()
}

// primitive reads one test: protocol, direction, kind and id, each of which may
// be left out where it follows from the rest.
func (p *parser) primitive() (node, error) {
	first := p.peek()
	switch {
	case first.text == "":
		return nil, p.wrong(first, "want a test, such as host 10.0.0.1")
	case startsID(first.text) && p.last.kind != "":
		return p.id(p.last)
	case startsID(first.text):
		return p.id(qualifiers{kind: "host"})
	}
	if n, ok, err := p.simple(); ok {
		return n, err
	}
	q := qualifiers{}
	if _, ok := protocols[first.text]; ok || first.text == "ether" {
		q.proto = p.take().text
	}
	dir := p.direction(&q)
	switch t := p.peek(); t.text {
	case "host", "net", "port", "portrange", "proto":
		q.kind = p.take().text
	case "broadcast", "multicast":
		if !dir {
			return p.group(q.proto)
		}
		return nil, p.wrong(t, "src and dst do not go with it")
	default:
		switch {
		case dir && startsID(t.text):
			q.kind = "host"
		case dir:
			return nil, p.wrong(t, "want host, net, port or portrange, and what is meant")
		case q.proto == "ether":
			return nil, p.wrong(t, "want host, src, dst, proto, broadcast or multicast after ether")
		case q.proto != "":
			p.last = qualifiers{}
			return protocols[q.proto].test(), nil
		default:
			return nil, p.unknown(t)
		}
	}
	return p.id(q)
}

func (p *parser) unknown(t token) error {
	switch {
	case strings.ContainsRune(t.text, '['):
		return p.wrong(t, "tests of single bytes are not known: name hosts, nets, ports and protocols")
	case t.text == "gateway" || t.text == "inbound" || t.text == "outbound":
		return p.wrong(t, "this test is not known here")
	}
	return p.wrong(t, "want a test, such as host 10.0.0.1, net 10.0.0.0/8, tcp port 104, vlan 5 or arp; names are not looked up")
}

// direction reads src, dst, src or dst, src and dst.
func (p *parser) direction(q *qualifiers) bool {
	switch {
	case p.accept("src"):
		q.dir = srcOnly
	case p.accept("dst"):
		q.dir = dstOnly
	default:
		return false
	}
	other := map[direction]string{srcOnly: "dst", dstOnly: "src"}[q.dir]
	if p.next+1 < len(p.words) && p.words[p.next+1].text == other {
		switch p.words[p.next].text {
		case "or", "||":
			q.dir, p.next = srcOrDst, p.next+2
		case "and", "&&":
			q.dir, p.next = srcAndDst, p.next+2
		}
	}
	return true
}

// simple reads the tests that have a grammar of their own.
func (p *parser) simple() (node, bool, error) {
	switch p.peek().text {
	case "vlan":
		p.next++
		p.last = qualifiers{}
		if t := p.peek(); t.text != "" && t.text[0] >= '0' && t.text[0] <= '9' {
			id, err := p.number(tagID)
			return vlan(int(id)), true, err
		}
		return vlan(-1), true, nil
	case "less", "greater":
		cond := bpf.JumpLessOrEqual
		if p.take().text == "greater" {
			cond = bpf.JumpGreaterOrEqual
		}
		n, err := p.number(1 << 20)
		return length(cond, uint32(n)), true, err
	}
	return nil, false, nil
}

// group reads broadcast and multicast.
func (p *parser) group(proto string) (node, error) {
	t := p.take()
	p.last = qualifiers{}
	switch {
	case t.text == "multicast" && proto == "ip":
		return all(etherType(packet.EtherTypeIPv4), test{network(ip4Dst, 1), bpf.JumpGreaterOrEqual, 224}), nil
	case t.text == "multicast" && proto == "ip6":
		return all(etherType(packet.EtherTypeIPv6), equal(network(ip6Dst, 1), 255)), nil
	case proto != "" && proto != "ether":
		return nil, p.wrong(t, "does not go with %s", proto)
	case p.link != packet.LinkEthernet:
		return nil, p.wrong(t, "the interface has no Ethernet header")
	case t.text == "multicast":
		return multicast(), nil
	}
	return station(0, []byte{255, 255, 255, 255, 255, 255}), nil
}

// startsID reports a word that is an address or a number.
func startsID(s string) bool {
	return s != "" && (s[0] >= '0' && s[0] <= '9' || strings.ContainsRune(s, ':'))
}

// id reads what is asked for.
func (p *parser) id(q qualifiers) (node, error) {
	p.last = q
	switch {
	case q.kind == "proto":
		return p.protoID(q)
	case q.proto == "ether":
		return p.stationID(q)
	case q.kind == "port", q.kind == "portrange":
		return p.portID(q)
	}
	at := p.take()
	if at.text == "" {
		return nil, p.wrong(at, "want an address")
	}
	var pre netip.Prefix
	var err error
	if q.kind == "net" {
		pre, err = p.net(at)
	} else {
		pre, err = p.host(at)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case q.proto == "" || q.proto == "ip" && pre.Addr().Is4() || q.proto == "ip6" && pre.Addr().Is6():
	case (q.proto == "arp" || q.proto == "rarp") && pre.Addr().Is4():
	default:
		return nil, p.wrong(at, "this address does not go with %s", q.proto)
	}
	return prefix(q.dir, q.proto, pre), nil
}

func (p *parser) host(t token) (netip.Prefix, error) {
	a, err := netip.ParseAddr(t.text)
	if err != nil || a.Zone() != "" {
		if _, err := net.ParseMAC(t.text); err == nil {
			return netip.Prefix{}, p.wrong(t, "this is a MAC: write ether host %s", t.text)
		}
		return netip.Prefix{}, p.wrong(t, "want an address such as 10.0.0.1; names are not looked up")
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// net reads a CIDR, the parts of an IPv4 network that are not zero (10, 192.168),
// or an address with mask and a mask.
func (p *parser) net(t token) (netip.Prefix, error) {
	text, bits, cidr := strings.Cut(t.text, "/")
	parts := strings.Count(text, ".") + 1
	if !strings.Contains(text, ":") && parts < 4 {
		text += strings.Repeat(".0", 4-parts)
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, p.wrong(t, "want a network such as 10.0.0.0/8")
	}
	n := a.BitLen()
	switch {
	case cidr:
		if n, err = strconv.Atoi(bits); err != nil || n < 0 || n > a.BitLen() {
			return netip.Prefix{}, p.wrong(t, "the length must be 0 to %d", a.BitLen())
		}
	case a.Is4() && p.peek().text == "mask":
		p.next++
		m := p.take()
		mask, err := netip.ParseAddr(m.text)
		if err != nil || !mask.Is4() {
			return netip.Prefix{}, p.wrong(m, "want a mask such as 255.255.0.0")
		}
		ones, size := net.IPMask(mask.AsSlice()).Size()
		if size == 0 {
			return netip.Prefix{}, p.wrong(m, "the ones of the mask must come first")
		}
		n = ones
	case a.Is4():
		n = 8 * parts
	}
	pre := netip.PrefixFrom(a, n)
	if pre != pre.Masked() {
		return netip.Prefix{}, p.wrong(t, "it has bits set after its length; did you mean %s?", pre.Masked())
	}
	return pre, nil
}

func (p *parser) portID(q qualifiers) (node, error) {
	transports := []uint32{6, 17, 132}
	if q.proto != "" {
		x := protocols[q.proto]
		if x.number != 6 && x.number != 17 && x.number != 132 {
			return nil, p.wrong(p.peek(), "%s has no ports", q.proto)
		}
		transports = []uint32{x.number}
	}
	if q.kind == "port" {
		n, err := p.number(65535)
		return ports(q.dir, transports, uint32(n), uint32(n)), err
	}
	t := p.take()
	a, b, ok := strings.Cut(t.text, "-")
	low, err1 := strconv.ParseUint(a, 10, 16)
	high, err2 := strconv.ParseUint(b, 10, 16)
	if !ok || err1 != nil || err2 != nil {
		return nil, p.wrong(t, "want a range of ports such as 2000-2100")
	}
	return ports(q.dir, transports, uint32(min(low, high)), uint32(max(low, high))), nil
}

func (p *parser) stationID(q qualifiers) (node, error) {
	t := p.take()
	mac, err := net.ParseMAC(t.text)
	switch {
	case q.kind != "host":
		return nil, p.wrong(t, "ether goes with host, not with %s", q.kind)
	case err != nil || len(mac) != 6:
		return nil, p.wrong(t, "want a MAC such as 02:00:00:00:00:01")
	case p.link != packet.LinkEthernet:
		return nil, p.wrong(t, "the interface has no Ethernet header")
	}
	return q.dir.of(station(6, mac), station(0, mac)), nil
}

func (p *parser) protoID(q qualifiers) (node, error) {
	t := p.peek()
	version := map[string]int{"": 0, "ip": 4, "ip6": 6}
	x, named := protocols[strings.TrimPrefix(t.text, `\`)]
	if q.proto == "ether" {
		if named && x.ether != 0 {
			p.next++
			return etherType(x.ether), nil
		}
		n, err := p.number(65535)
		return etherType(uint16(n)), err
	}
	v, ok := version[q.proto]
	if !ok {
		return nil, p.wrong(t, "proto goes with ip, ip6 and ether, not with %s", q.proto)
	}
	if named && x.number != 0 {
		p.next++
		return protocol(v, x.number), nil
	}
	n, err := p.number(255)
	return protocol(v, uint32(n)), err
}

// number reads a decimal or, with 0x, a hexadecimal number.
func (p *parser) number(most uint64) (uint64, error) {
	t := p.take()
	n, err := strconv.ParseUint(t.text, 0, 32)
	if err != nil || n > most {
		return 0, p.wrong(t, "want a number from 0 to %d", most)
	}
	return n, nil
}

// proto is a protocol that stands for a test by its name.
type proto struct {
	ether   uint16 // by EtherType, or
	number  uint32 // by IP protocol number
	version int    // of the IP it rides on; 0 for both
}

// protocols are the names; numbers are IANA's, as libpcap reads them.
var protocols = map[string]proto{
	"ip": {ether: packet.EtherTypeIPv4}, "ip6": {ether: packet.EtherTypeIPv6}, "arp": {ether: packet.EtherTypeARP}, "rarp": {ether: etherTypeRARP},
	"tcp": {number: 6}, "udp": {number: 17}, "sctp": {number: 132}, "icmp": {number: 1, version: 4}, "icmp6": {number: 58, version: 6},
	"igmp": {number: 2, version: 4}, "pim": {number: 103}, "vrrp": {number: 112, version: 4}, "ah": {number: 51}, "esp": {number: 50},
}

func (x proto) test() node {
	if x.ether != 0 {
		return etherType(x.ether)
	}
	return protocol(x.version, x.number)
}
