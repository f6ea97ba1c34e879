package radius

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

const (
	maxID   = 64
	maxSSID = 32
)

// Numbers of attributes (IANA, Values for RADIUS Attributes 40, 49 and 61).
var (
	portTypes = map[uint32]string{0: "async", 1: "sync", 2: "isdn_sync", 5: "virtual", 15: "ethernet", 17: "cable", 18: "wireless_other", 19: "wireless_802_11", 31: "eapol", 36: "wireless_xgp"}
	statuses  = map[uint32]string{1: "start", 2: "stop", 3: "interim_update", 7: "accounting_on", 8: "accounting_off"}
	causes    = map[uint32]string{
		1: "user_request", 2: "lost_carrier", 3: "lost_service", 4: "idle_timeout", 5: "session_timeout", 6: "admin_reset", 7: "admin_reboot", 8: "port_error", 9: "nas_error", 10: "nas_request",
		11: "nas_reboot", 12: "port_unneeded", 13: "port_preempted", 14: "port_suspended", 15: "service_unavailable", 16: "callback", 17: "user_error", 18: "host_request", 19: "supplicant_restart", 20: "reauthentication_failure", 21: "port_reinit", 22: "port_disabled", 23: "lost_power",
	}
	services = map[uint32]string{1: "login", 2: "framed", 5: "outbound", 6: "administrative", 7: "nas_prompt", 8: "authenticate_only", 10: "call_check", 17: "authorize_only"}
	eapTypes = map[byte]string{1: "identity", 3: "nak", 4: "md5", 5: "otp", 6: "gtc", 13: "tls", 17: "leap", 18: "sim", 21: "ttls", 23: "aka", 25: "peap", 26: "mschapv2", 43: "fast", 48: "sake", 50: "aka_prime", 52: "pwd", 55: "teap"}
)

// emit tells what a packet says of the access server, and of the station.
func (p *packet) emit(c *dissector.Context, code byte) {
	f := dissector.Fact{Kind: codes[code], Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	// RFC 5176: the server asks for a disconnection, and the access server answers.
	request := code == 1 || code == 4 || code == 12 || code == 41 || code == 42 || code >= 44
	a.Set("role", map[bool]string{true: "client", false: "server"}[request])
	p.access(a)
	mac, isMAC := macOf(p.value[callingID])
	p.credentials(a, mac, isMAC)
	a.Set("accounting", p.word(status, statuses))
	a.Set("service_type", p.word(serviceType, services))
	if v := p.value[tunnelGroup]; len(v) > 0 && !request {
		a.Set("vlan", number(v))
	}
	c.Emit(&f)
	if isMAC && code != 12 {
		p.station(c, mac)
	}
}

// access sets what is said of the access server: its name and addresses, its port.
func (p *packet) access(a *proto.Attributes) {
	a.Set("nas_identifier", dissector.Text(p.value[nasID], maxID))
	a.Set("nas_ip", address(p.value[nasIP], 4))
	if a.Get("nas_ip") == "" {
		a.Set("nas_ip", address(p.value[nasIPv6], 16))
	}
	a.Set("nas_port_type", p.word(portType, portTypes))
	a.Set("nas_port", port(p.value[portID]))
	// "00-10-A4-23-19-C0:network" (RFC 3580 3.20)
	if mac, ok := macOf(p.value[calledID]); ok {
		a.Set("access_point_mac", mac.String())
		if _, ssid, ok := cutMAC(p.value[calledID]); ok {
			a.Set("ssid", dissector.Text(ssid, maxSSID))
		}
	}
}

func address(b []byte, size int) string {
	a, ok := netip.AddrFromSlice(b)
	if !ok || len(b) != size || a.IsUnspecified() {
		return ""
	}
	return a.String()
}

// port is the name of a port where it is made as machines make them, with a digit:
// "GigabitEthernet1/0/13", "wlan0.1".
func port(b []byte) string {
	s := dissector.Text(b, maxID)
	if !strings.ContainsAny(s, "0123456789") || strings.ContainsAny(s, " @=,;'\"\\") {
		return ""
	}
	return s
}

// number is a VLAN's: digits, behind a tag perhaps (RFC 2868 3.6).
func number(b []byte) string {
	if b[0] < 0x20 {
		b = b[1:]
	}
	if n, err := strconv.ParseUint(string(b), 10, 12); err == nil && n > 0 {
		return strconv.FormatUint(n, 10)
	}
	return ""
}

// macOf reads the address at the beginning of an identifier of a station, in any of
// the usual spellings: 00-10-A4-23-19-C0, 00:10:a4:23:19:c0, 0010.a423.19c0, 0010a42319c0.
func macOf(b []byte) (proto.MAC, bool) {
	m, _, ok := cutMAC(b)
	return m, ok
}

// cutMAC gives the address, and what follows it behind a colon or semicolon.
func cutMAC(b []byte) (m proto.MAC, rest []byte, ok bool) {
	const digits = 12
	n := 0
	for i, x := range b {
		v, hex := nibble(x)
		if !hex {
			if n == digits && (x == ':' || x == ';') {
				return m, b[i+1:], valid(m)
			}
			if n == 0 || n == digits || x != '-' && x != ':' && x != '.' {
				return m, nil, false
			}
			continue
		}
		if n == digits {
			return m, nil, false
		}
		m[n/2] |= v << (4 * (1 - n%2))
		n++
	}
	return m, nil, n == digits && valid(m)
}

func valid(m proto.MAC) bool { return m != proto.MAC{} && m[0]&1 == 0 }

func nibble(x byte) (byte, bool) {
	switch {
	case x >= '0' && x <= '9':
		return x - '0', true
	case x >= 'a' && x <= 'f':
		return x - 'a' + 10, true
	case x >= 'A' && x <= 'F':
		return x - 'A' + 10, true
	}
	return 0, false
}

// Vendors (IANA, SMI Private Enterprise Codes) whose attributes are read.
const (
	microsoft = 311
	cisco     = 9

	msCHAPResponse  = 1
	msCHAP2Response = 25
	avPair          = 1
)

// credentials sets how the station logs in. PAP hides the password with the secret of
// access server and server, CHAP and MS-CHAP can be tried offline.
func (p *packet) credentials(a *proto.Attributes, mac proto.MAC, isMAC bool) {
	name, byMAC := macOf(p.value[userName])
	switch {
	case p.value[eapMessage] != nil:
		a.Set("authentication", "eap")
		a.Set("eap_type", eapType(p.value[eapMessage]))
	case byMAC && (!isMAC || name == mac):
		a.Set("authentication", "mac")
	case p.value[userPassword] != nil:
		a.Set("authentication", "pap")
	case p.value[chapPassword] != nil:
		a.Set("authentication", "chap")
	default:
		p.vendors(func(id uint32, kind byte, _ []byte) {
			if id == microsoft && kind == msCHAPResponse {
				a.Set("authentication", "mschap")
			} else if id == microsoft && kind == msCHAP2Response {
				a.Set("authentication", "mschapv2")
			}
		})
	}
	switch {
	case a.Get("authentication") == "pap", a.Get("authentication") == "chap", a.Get("authentication") == "mschap", a.Get("eap_type") == "md5", a.Get("eap_type") == "leap":
		a.Set("legacy", "true")
	}
}

// vendors calls yield with the attributes inside of those of vendors (RFC 2865 5.26).
func (p *packet) vendors(yield func(id uint32, kind byte, v []byte)) {
	for _, b := range p.vendor {
		if len(b) < 6 {
			continue
		}
		id := binary.BigEndian.Uint32(b)
		for b = b[4:]; len(b) >= 2 && b[1] >= 2 && int(b[1]) <= len(b); b = b[b[1]:] {
			yield(id, b[0], b[2:b[1]])
		}
	}
}

// eapType is the method of an EAP request or response (RFC 3748 4.1): code (1), id (1),
// length (2), type (1).
func eapType(b []byte) string {
	if len(b) < 5 || b[0] != 1 && b[0] != 2 {
		return ""
	}
	if s := eapTypes[b[4]]; s != "" {
		return s
	}
	return strconv.Itoa(int(b[4]))
}

// station tells of the station that an access server speaks for.
func (p *packet) station(c *dissector.Context, mac proto.MAC) {
	f := dissector.Fact{Kind: "station", Subject: dissector.Subject{Side: dissector.Other, MAC: mac}}
	a := &f.Attributes
	a.Set("role", "client")
	p.access(a)
	a.Set("accounting", p.word(status, statuses))
	a.Set("terminate_cause", p.word(terminate, causes))
	if n, ok := p.number(sessionTime); ok {
		a.Set("session_s", strconv.FormatUint(uint64(n), 10))
	}
	if ip, ok := netip.AddrFromSlice(p.value[framedIP]); ok && ip.Is4() && ip.AsSlice()[0] != 255 && !ip.IsUnspecified() {
		f.Subject.IP = ip
	}
	p.credentials(a, mac, true)
	p.vendors(func(id uint32, kind byte, v []byte) {
		if id == cisco && kind == avPair {
			profile(a, v)
		}
	})
	c.Emit(&f)
}

// profile reads what a Cisco switch has seen of a station: "dhcp-option=" and then an
// option of DHCP, its code and length in two bytes each.
func profile(a *proto.Attributes, v []byte) {
	opt, ok := bytes.CutPrefix(v, []byte("dhcp-option="))
	if !ok || len(opt) < 4 {
		return
	}
	code, n := binary.BigEndian.Uint16(opt), int(binary.BigEndian.Uint16(opt[2:]))
	value := opt[4:][:min(n, len(opt)-4)]
	switch code {
	case 12:
		if banner.Host(value, true) != "" {
			a.Set("hostname", dissector.Text(value, maxID))
		}
	case 60:
		a.Set("vendor_class", dissector.Text(value, maxID))
	}
}
