package behaviour

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// Flow adds a part of a flow of the device; asServer says that the device is its
// second end. A flow in which it said nothing is not its doing. Flow reports
// whether the part counted.
func (s *Sketch) Flow(f *proto.Flow, asServer bool) bool {
	said := f.SrcPackets
	if asServer {
		said = f.DstPackets
	}
	if f.DuplicateOfSensor != "" || said == 0 || !s.begin(f.Start) {
		return false
	}
	var room [64]byte
	port := f.DstPort
	began := !asServer
	if turned(f) {
		port, began = f.SrcPort, !began
	}
	if f.Transport != proto.TCP && f.Transport != proto.UDP {
		port = f.SrcPort // ICMP: the type
	}
	b := append(append(append(room[:0], "flow "...), f.Transport.String()...), '/')
	if f.SrcPort == f.DstPort && f.DstPort > lastAssigned && f.Protocol == "unknown" {
		b = append(b, "same"...) // chosen anew each time, the same at both ends
	} else {
		b = strconv.AppendUint(b, uint64(port), 10)
	}
	b = append(append(b, ' '), scope(f, asServer, began)...)
	m := s.see(b, f.Start)
	if m == nil {
		return false
	}
	out, in := f.SrcPayloadBytes, f.DstPayloadBytes
	op, ip := f.SrcPackets, f.DstPackets
	if asServer {
		out, in, op, ip = in, out, ip, op
	}
	m.flow = true
	m.outPackets += op
	m.inPackets += ip
	m.outPayload += out
	m.inPayload += in
	if f.Part != 0 {
		return true
	}
	m.count++
	if m.parts == 0 {
		m.minOut, m.maxOut, m.minIn, m.maxIn = out, out, in, in
	}
	m.parts++
	m.minOut, m.maxOut = min(m.minOut, out), max(m.maxOut, out)
	m.minIn, m.maxIn = min(m.minIn, in), max(m.maxIn, in)
	return true
}

// lastAssigned is the last of the system ports (RFC 6335).
const lastAssigned = 1023

// turned reports that the capture began inside the flow with a packet of the
// server: no handshake was seen, and the first packet came from a port that servers
// have to one that clients are given.
func turned(f *proto.Flow) bool {
	if f.Transport == proto.TCP && f.State != "OTH" && (!strings.HasPrefix(f.State, "RST") || f.SrcRTT|f.DstRTT != 0) {
		return false
	}
	if f.Transport != proto.TCP && f.Transport != proto.UDP {
		return false
	}
	return f.SrcPort < f.DstPort && f.DstPort >= 1024 && (f.SrcPort < 1024 || f.DstPort >= 32768)
}

// scope says where the other end is, and who began.
func scope(f *proto.Flow, asServer, began bool) string {
	peer, inside := f.DstIP, f.DstInside
	if asServer {
		peer, inside = f.SrcIP, f.SrcInside
	}
	switch {
	case peer.IsMulticast() || peer == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "to all"
	case !began && inside:
		return "from inside"
	case !began:
		return "from outside"
	case inside:
		return "to inside"
	}
	return "to outside"
}

// Observe adds what a protocol said. It reports whether it counted.
func (s *Sketch) Observe(o *proto.Observation) bool {
	if o.DuplicateOfSensor != "" || !Own(o) || !s.begin(o.Time) {
		return false
	}
	var room [256]byte
	b := append(append(append(room[:0], o.Protocol...), ' '), o.Kind...)
	m := s.see(b, o.Time)
	if m != nil {
		m.count++
	}
	said := false
	for _, name := range announced[o.Protocol] {
		if v := o.Attributes.Get(name); v != "" {
			said = s.announce(room[:0], o, name, v) || said
		}
		for _, v := range o.Attributes.List(name) {
			said = s.announce(room[:0], o, name, v) || said
		}
	}
	if o.Protocol == "dns" {
		if domain := o.Attributes.Get("domain"); domain != "" {
			said = s.announce(room[:0], o, "name of", domain+" with "+o.Attributes.Get("name_len")+" characters") || said
		}
	}
	return m != nil || said
}

func (s *Sketch) announce(b []byte, o *proto.Observation, name, value string) bool {
	if !whole[name] {
		if value = general(value, o.MAC); value == "" {
			return false
		}
	}
	b = append(append(append(b, o.Protocol...), ' '), name...)
	family := byte(hash(b))
	b = append(append(b, ' '), value...)
	return s.fact(family, b)
}

// Own reports whether the device itself spoke, and not somebody about it.
func Own(o *proto.Observation) bool {
	if o.Kind == "attached" || o.Kind == "ports" { // of whom a switch speaks, and what its manager asks for
		return false
	}
	switch o.Protocol {
	case "dns", "llmnr", "netbios":
		return o.Kind != "name"
	case "dhcp", "dhcpv6":
		switch o.Kind {
		case "offer", "ack", "nak", "advertise", "reply":
			return o.Attributes.Get("role") == "server"
		}
	}
	return o.Gateway.IsZero()
}

// announced are the attributes that tell a kind of device, by protocol: what its
// software says of itself and whom it asks for. Names of units are not among them.
var announced = map[string][]string{
	"dhcp":         {"hostname", "vendor_class", "parameter_list"},
	"dhcpv6":       {"vendor_class"},
	"dns":          {"domain"},
	"mdns":         {"hostname", "service_type", "service_types", "model", "software_version", "hap_category"},
	"llmnr":        {"hostname"},
	"ssdp":         {"server", "device_type", "service_type", "max_age_s"},
	"http":         {"user_agent", "server", "host"},
	"tls":          {"ja3", "ja4", "sni", "tls_version"},
	"ssh":          {"software", "hassh", "hassh_server"},
	"ntp":          {"ntp_version", "poll_s"},
	"ws_discovery": {"types"},
	"rtsp":         {"user_agent", "server"},
	"mqtt":         {"version"},
}

// whole are attributes that are taken as they stand: lists of option codes and
// hashes over what software does, in which no unit's name can be.
var whole = map[string]bool{"parameter_list": true, "ja3": true, "ja4": true, "hassh": true, "hassh_server": true}

// minUnit is how many digits of a MAC within a name make it the name of a unit.
const minUnit = 4

// general takes out of a name what belongs to a unit: addresses, parts of its
// MAC, numbers as long as serial numbers. "" when nothing is left.
func general(v string, mac proto.MAC) string {
	v = strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(v, "."), ".local"))
	if len(v) > 160 || holdsAddress(v) {
		return ""
	}
	own := strings.ReplaceAll(mac.String(), ":", "")
	var out []byte
	for i := 0; i < len(v); {
		if n := shared(v[i:], own); n >= minUnit {
			out = star(out)
			i += n
			continue
		}
		if n := number(v[i:]); n > 0 && (i == 0 || !isHex(v[i-1])) {
			out = star(out)
			i += n
			continue
		}
		out = append(out, v[i])
		i++
	}
	if string(out) == "*" {
		return ""
	}
	return string(out)
}

func star(b []byte) []byte {
	if len(b) > 0 && b[len(b)-1] == '*' {
		return b
	}
	return append(b, '*')
}

// shared is how many characters v begins with that stand so in the MAC.
func shared(v, mac string) int {
	if mac == "" {
		return 0
	}
	best := 0
	for i := range mac {
		n := 0
		for n < len(v) && i+n < len(mac) && v[n] == mac[i+n] {
			n++
		}
		best = max(best, n)
	}
	return best
}

// number is the length of a number of 6 digits or more, or of a hexadecimal one of
// 8 or more with a digit in it, that v begins with.
func number(v string) int {
	n, digits := 0, 0
	for n < len(v) && isHex(v[n]) {
		if v[n] <= '9' {
			digits++
		}
		n++
	}
	if (n >= 6 && digits == n) || (n >= 8 && digits >= 2) {
		return n
	}
	return 0
}

func isHex(c byte) bool { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') }

// holdsAddress reports whether a name is an address or has one in it.
func holdsAddress(v string) bool {
	for _, part := range strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune("/[]()@ ,;=", r) }) {
		if _, err := netip.ParseAddr(part); err == nil {
			return true
		}
		if _, err := netip.ParseAddrPort(part); err == nil {
			return true
		}
	}
	return false
}
