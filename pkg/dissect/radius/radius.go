// Package radius dissects RADIUS (RFC 2865, 2866, 5176): which network devices ask, and
// where the stations are that log in through them.
//
// Users never leave: a User-Name is read for its form only (a MAC address is the
// station's own). Passwords, keys and texts are not read.
package radius

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is RADIUS over UDP.
var Protocol = dissector.Protocol{Name: "radius", Ports: ports, Datagram: datagram}

var ports = []uint16{1812, 1813, 1645, 1646, 3799}

// codes are the packets' kinds (IANA, RADIUS Packet Type Codes).
var codes = map[byte]string{
	1: "access_request", 2: "access_accept", 3: "access_reject", 4: "accounting_request", 5: "accounting_response", 11: "access_challenge",
	12: "status_server", 13: "status_client", 40: "disconnect_request", 41: "disconnect_ack", 42: "disconnect_nak", 43: "coa_request", 44: "coa_ack", 45: "coa_nak",
}

const (
	header   = 20
	maxTold  = 64 // facts of one flow that are remembered, so that none is told twice
	maxText  = 64
	noBounds = 4096
)

// state is what was told of a flow, and which stations wait for an answer, by the
// packet's identifier.
type state struct {
	told  map[string]bool
	waits map[byte]proto.MAC
}

// End has nothing more to tell.
func (s *state) End(*dissector.Context) {}

// Size is about what is kept.
func (s *state) Size() int { return 64 + 96*len(s.told) + 16*len(s.waits) }

// datagram wants a known code and a length that the attributes fill. Elsewhere than at
// home that is too little, and it wants what hardly another protocol has in such a place:
//
//	code (1) | identifier (1) | length (2) | authenticator (16) | type (1) length (1) value | ...
func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	if len(b) < header {
		return dissector.No
	}
	kind, named := codes[b[0]]
	n := int(binary.BigEndian.Uint16(b[2:]))
	if !named || n < header || n > len(b) || n > noBounds || len(b)-n > 32 {
		return dissector.No
	}
	p := packet{code: b[0]}
	if !p.read(b[header:n]) {
		return dissector.No
	}
	home := known || slices.Contains(ports, c.Headers.SrcPort) || slices.Contains(ports, c.Headers.DstPort)
	if !home && (!p.telling || n != len(b)) {
		return dissector.No
	}
	s, ok := c.State.(*state)
	if !ok {
		s = &state{told: map[string]bool{}, waits: map[byte]proto.MAC{}}
		c.State = s
	}
	p.emit(c, s, kind)
	p.outcome(c, s, b[1])
	return dissector.Yes
}

// packet is what is read of one.
type packet struct {
	code                       byte
	nas                        proto.Attributes
	station                    proto.MAC
	ip                         netip.Addr
	accessPoint                proto.MAC
	ssid, port, portType, vlan string
	status                     string
	method, eap, account       string
	legacy, telling            bool
	hostname, vendorClass      string
	inputBytes, outputBytes    uint64
	sessionTime                uint32
}

// Attribute numbers (IANA, RADIUS Attribute Types).
const (
	userName, userPassword, chapPassword, nasIP, nasPort = 1, 2, 3, 4, 5
	authenticator                                        = 80
	framedIP, vendorSpecific                             = 8, 26
	calledStation, callingStation, nasIdentifier         = 30, 31, 32
	acctStatus, acctInput, acctOutput, acctTime          = 40, 42, 43, 46
	nasPortType, tunnelGroup, eapMessage, nasPortID      = 61, 81, 79, 87
	nasIPv6                                              = 95
	microsoft, msCHAPResponse, msCHAP2Response           = 311, 1, 25
	cisco, avPair                                        = 9, 1
)

// read walks the attributes and reports whether they fill b.
func (p *packet) read(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return false
		}
		p.attribute(b[0], b[2:b[1]])
		b = b[b[1]:]
	}
	return true
}

func (p *packet) attribute(kind byte, v []byte) {
	switch kind {
	case userName:
		if mac, ok := macOf(v); ok {
			p.station, p.account = mac, "device"
		} else if p.account == "" {
			p.account = dissector.Account(v)
		}
	case userPassword:
		p.method = "pap"
	case chapPassword:
		p.method = "chap"
	case nasIP, nasIPv6:
		if ip, ok := netip.AddrFromSlice(v); ok && (len(v) == 4) == (kind == nasIP) {
			p.nas.Set("nas_ip", ip.Unmap().String())
			p.telling = true
		}
	case authenticator:
		p.telling = p.telling || len(v) == 16
	case nasPort:
		if len(v) == 4 && p.port == "" {
			p.port = strconv.FormatUint(uint64(binary.BigEndian.Uint32(v)), 10)
		}
	case framedIP:
		if ip, ok := netip.AddrFromSlice(v); ok && len(v) == 4 && !ip.IsUnspecified() && ip != netip.AddrFrom4([4]byte{255, 255, 255, 254}) {
			p.ip = ip
		}
	case calledStation:
		p.called(v)
	case callingStation:
		if mac, ok := macOf(v); ok {
			p.station = mac
		}
	case nasIdentifier:
		p.nas.Set("nas_identifier", dissector.Text(v, maxText))
	case nasPortType:
		p.portType = portTypes[number(v)]
	case nasPortID:
		if s := dissector.Text(v, maxText); interfaceName(s) {
			p.port = s
		}
	case tunnelGroup:
		if len(v) > 1 && v[0] < 0x20 {
			v = v[1:] // a tag
		}
		if s := dissector.Text(v, 8); s != "" && digits(s) {
			p.vlan = s
		}
	case eapMessage:
		p.eapMessage(v)
	case acctStatus:
		p.status = statuses[number(v)]
	case acctInput:
		p.inputBytes = uint64(number(v))
	case acctOutput:
		p.outputBytes = uint64(number(v))
	case acctTime:
		p.sessionTime = number(v)
	case vendorSpecific:
		p.vendor(v)
	}
}

var (
	portTypes = map[uint32]string{0: "async", 5: "virtual", 15: "ethernet", 17: "cable", 18: "wireless", 19: "wireless_802_11"}
	statuses  = map[uint32]string{1: "start", 2: "stop", 3: "interim_update", 7: "accounting_on", 8: "accounting_off"}
)

func number(v []byte) uint32 {
	if len(v) != 4 {
		return 1<<32 - 1
	}
	return binary.BigEndian.Uint32(v)
}

// called reads Called-Station-Id: the access point's or switch's MAC, and the SSID
// behind a colon (RFC 3580 3.20).
func (p *packet) called(v []byte) {
	mac, rest := v, []byte(nil)
	if len(v) > 17 && v[17] == ':' {
		mac, rest = v[:17], v[18:]
	} else if len(v) > 12 && v[12] == ':' {
		mac, rest = v[:12], v[13:]
	}
	if m, ok := macOf(mac); ok {
		p.accessPoint = m
		p.ssid = dissector.Text(rest, 32)
	}
}

// eapMessage reads the method that is spoken or asked for (RFC 3748 4).
func (p *packet) eapMessage(v []byte) {
	p.method = "eap"
	if len(v) >= 5 && (v[0] == 1 || v[0] == 2) {
		switch t := v[4]; t {
		case 1, 2, 3: // identity, notification, nak: no method
		default:
			p.eap = eapMethods[t]
			p.legacy = p.legacy || t == 4 || t == 17
		}
	}
}

var eapMethods = map[byte]string{4: "md5", 6: "gtc", 13: "tls", 17: "leap", 18: "sim", 21: "ttls", 23: "aka", 25: "peap", 26: "mschapv2", 43: "fast", 52: "pwd", 55: "teap"}

// vendor reads Microsoft's attributes for the method (RFC 2548), and what a Cisco switch
// has seen of a station.
func (p *packet) vendor(v []byte) {
	if len(v) < 6 {
		return
	}
	id := binary.BigEndian.Uint32(v)
	for v = v[4:]; len(v) >= 2 && v[1] >= 2 && int(v[1]) <= len(v); v = v[v[1]:] {
		switch {
		case id == microsoft && v[0] == msCHAPResponse:
			p.method, p.legacy = "mschap", true
		case id == microsoft && v[0] == msCHAP2Response:
			p.method = "mschapv2"
		case id == cisco && v[0] == avPair:
			p.profile(v[2:v[1]])
		}
	}
}

// profile reads "dhcp-option=" and then an option of DHCP, its code and length in two
// bytes each: the station's name and what its maker's client calls itself.
func (p *packet) profile(v []byte) {
	opt, ok := bytes.CutPrefix(v, []byte("dhcp-option="))
	if !ok || len(opt) < 4 {
		return
	}
	value := opt[4:]
	value = value[:min(int(binary.BigEndian.Uint16(opt[2:])), len(value))]
	switch binary.BigEndian.Uint16(opt) {
	case 12:
		if banner.Host(value, true) != "" {
			p.hostname = dissector.Text(value, maxText)
		}
	case 60:
		p.vendorClass = dissector.Text(value, maxText)
	}
}

// emit tells of the device that asks, of the server that answers, and of the station
// that is asked for; each once a flow for what it says.
func (p *packet) emit(c *dissector.Context, s *state, kind string) {
	request := p.code == 1 || p.code == 4
	a := slices.Clone(p.nas)
	switch p.code {
	case 2, 3, 5, 11, 13, 40, 43: // a server answers, or (RFC 5176) asks
		a.Set("role", "server")
	default:
		a.Set("role", "client")
	}
	if request {
		a.Set("auth", p.method)
		a.Set("eap_method", p.eap)
		if p.legacy || p.method == "pap" || p.method == "chap" {
			a.Set("legacy", "true")
		}
	}
	p.tell(c, s, dissector.Fact{Subject: dissector.Subject{Side: c.Side}, Kind: kind, Attributes: a})
	if p.station.IsZero() || p.code != 1 && p.code != 4 {
		return
	}
	p.emitStation(c, s)
}

func (p *packet) emitStation(c *dissector.Context, s *state) {
	var a proto.Attributes
	a.Set("mac", p.station.String())
	if !p.accessPoint.IsZero() {
		a.Set("access_point", p.accessPoint.String())
	}
	a.Set("ssid", p.ssid)
	a.Set("switch_port", p.port)
	a.Set("port_type", p.portType)
	a.Set("vlan", p.vlan)
	a.Set("nas_ip", p.nas.Get("nas_ip"))
	a.Set("nas_identifier", p.nas.Get("nas_identifier"))
	a.Set("eap_method", p.eap)
	a.Set("account", p.account)
	a.Set("status", p.status)
	if p.status == "stop" {
		a.Set("session_s", strconv.FormatUint(uint64(p.sessionTime), 10))
		a.Set("received_bytes", strconv.FormatUint(p.inputBytes, 10))
		a.Set("sent_bytes", strconv.FormatUint(p.outputBytes, 10))
	}
	a.Set("hostname", p.hostname)
	a.Set("vendor_class", p.vendorClass)
	if p.ip.IsValid() {
		a.Set("ip", p.ip.String())
	}
	p.tell(c, s, dissector.Fact{Subject: dissector.Subject{Side: dissector.Other, MAC: p.station, IP: p.ip}, Kind: "station", Attributes: a})
}

// outcome tells of the station whose request is answered, and to which VLAN it goes
// (RFC 3580 3.31).
func (p *packet) outcome(c *dissector.Context, s *state, id byte) {
	if p.code == 1 && !p.station.IsZero() {
		s.waits[id] = p.station
		return
	}
	station, waits := s.waits[id]
	if !waits || p.code != 2 && p.code != 3 {
		return
	}
	delete(s.waits, id)
	var a proto.Attributes
	a.Set("mac", station.String())
	a.Set("outcome", map[bool]string{true: "success", false: "failure"}[p.code == 2])
	a.Set("vlan", p.vlan)
	p.tell(c, s, dissector.Fact{Subject: dissector.Subject{Side: dissector.Other, MAC: station}, Kind: "login", Attributes: a})
}

// tell emits a fact unless this flow has said the same.
func (p *packet) tell(c *dissector.Context, s *state, f dissector.Fact) {
	b, err := f.Attributes.MarshalJSON()
	if err != nil {
		return
	}
	key := strconv.Itoa(int(f.Subject.Side)) + f.Kind + dissector.Pseudonym(c.Key, b)
	if s.told[key] {
		return
	}
	if len(s.told) == maxTold {
		clear(s.told)
		c.Count("radius_told_again")
	}
	s.told[key] = true
	c.Emit(&f)
}

// macOf reads a MAC address in one of the usual spellings, and nothing else:
// 00-10-a4-23-19-c0, 00:10:a4:23:19:c0, 0010.a423.19c0, 0010-a423-19c0, 0010a42319c0. One
// that is not in pairs needs a letter, for the rest may be anybody's number.
func macOf(v []byte) (m proto.MAC, ok bool) {
	group := map[int]int{12: 12, 14: 4, 17: 2}[len(v)]
	if group == 0 {
		return m, false
	}
	n, letters := 0, 0
	for i, x := range bytes.ToLower(v) {
		var d byte
		switch {
		case (i+1)%(group+1) == 0:
			if x != '-' && x != ':' && x != '.' {
				return m, false
			}
			continue
		case x >= '0' && x <= '9':
			d = x - '0'
		case x >= 'a' && x <= 'f':
			d = x - 'a' + 10
			letters++
		default:
			return m, false
		}
		m[n/2] = m[n/2]<<4 | d
		n++
	}
	return m, n == 12 && (letters > 0 || group == 2) && !m.IsZero() && !m.IsGroup()
}

// interfaceName reports whether s is a port's name and not a text: letters with a
// digit, without spaces.
func interfaceName(s string) bool {
	digit := false
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digit = true
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '/', r == '-', r == '.', r == '_', r == ':':
		default:
			return false
		}
	}
	return digit && len(s) <= 32
}

func digits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return true
}
