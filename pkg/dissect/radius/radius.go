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

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is RADIUS over UDP.
var Protocol = dissector.Protocol{Name: "radius", Ports: []uint16{1812, 1813, 1645, 1646, 3799}, Datagram: datagram}

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

// state is what was told of a flow.
type state struct {
	told map[string]bool
}

// End has nothing more to tell.
func (s *state) End(*dissector.Context) {}

// Size is about what is kept.
func (s *state) Size() int { return 64 + 96*len(s.told) }

// datagram wants a known code and a length that the attributes fill:
//
//	code (1) | identifier (1) | length (2) | authenticator (16) | type (1) length (1) value | ...
func datagram(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
	if len(b) < header {
		return dissector.No
	}
	kind, known := codes[b[0]]
	n := int(binary.BigEndian.Uint16(b[2:]))
	if !known || n < header || n > len(b) || n > noBounds || len(b)-n > 32 {
		return dissector.No
	}
	p := packet{code: b[0]}
	if !p.read(b[header:n]) {
		return dissector.No
	}
	s, ok := c.State.(*state)
	if !ok {
		s = &state{told: map[string]bool{}}
		c.State = s
	}
	p.emit(c, s, kind)
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
	legacy                     bool
	inputBytes, outputBytes    uint64
	sessionTime                uint32
}

// Attribute numbers (IANA, RADIUS Attribute Types).
const (
	userName, userPassword, chapPassword, nasIP, nasPort = 1, 2, 3, 4, 5
	framedIP, vendorSpecific                             = 8, 26
	calledStation, callingStation, nasIdentifier         = 30, 31, 32
	acctStatus, acctInput, acctOutput, acctTime          = 40, 42, 43, 46
	nasPortType, tunnelGroup, eapMessage, nasPortID      = 61, 81, 79, 87
	nasIPv6                                              = 95
	microsoft, msCHAPResponse, msCHAP2Response           = 311, 1, 25
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
		if ip, ok := netip.AddrFromSlice(v); ok {
			p.nas.Set("nas_ip", ip.Unmap().String())
		}
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

// vendor reads Microsoft's attributes for the method (RFC 2548).
func (p *packet) vendor(v []byte) {
	if len(v) < 6 || binary.BigEndian.Uint32(v) != microsoft {
		return
	}
	switch v[4] {
	case msCHAPResponse:
		p.method, p.legacy = "mschap", true
	case msCHAP2Response:
		p.method = "mschapv2"
	}
}

// emit tells of the device that asks, of the server that answers, and of the station
// that is asked for; each once a flow for what it says.
func (p *packet) emit(c *dissector.Context, s *state, kind string) {
	request := p.code == 1 || p.code == 4 || p.code >= 12 && p.code <= 40 || p.code == 43
	a := slices.Clone(p.nas)
	a.Set("role", map[bool]string{true: "client", false: "server"}[request])
	if p.code == 40 || p.code == 43 { // RFC 5176: the server asks
		a.Set("role", "server")
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
	if p.ip.IsValid() {
		a.Set("ip", p.ip.String())
	}
	p.tell(c, s, dissector.Fact{Subject: dissector.Subject{Side: dissector.Other, MAC: p.station, IP: p.ip}, Kind: "station", Attributes: a})
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

// macOf reads a MAC address in any of the usual spellings, and nothing else: twelve
// digits without a letter or a sign may be a telephone's number.
func macOf(v []byte) (m proto.MAC, ok bool) {
	if !bytes.ContainsAny(v, "abcdefABCDEF-:.") {
		return m, false
	}
	switch len(v) {
	case 12, 14, 17:
	default:
		return m, false
	}
	n := 0
	for _, x := range bytes.ToLower(v) {
		var d byte
		switch {
		case x >= '0' && x <= '9':
			d = x - '0'
		case x >= 'a' && x <= 'f':
			d = x - 'a' + 10
		case x == '-' || x == ':' || x == '.':
			continue
		default:
			return m, false
		}
		if n == 12 {
			return m, false
		}
		m[n/2] = m[n/2]<<4 | d
		n++
	}
	return m, n == 12 && !m.IsZero() && !m.IsGroup()
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
