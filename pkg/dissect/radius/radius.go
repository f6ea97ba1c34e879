// Package radius dissects RADIUS (RFC 2865, RFC 2866, RFC 3580, RFC 5176): which access
// point or switch speaks for which station, on which network, how the station logs in,
// and for how long it was there.
//
// Here live the packets and the few attributes that are read. A user's name is looked
// at only to see whether it is a MAC address; names, passwords, EAP identities, texts
// and the addresses of homes never leave.
package radius

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// ports are the registered ones, and those of before RFC 2865 and of Cisco.
var ports = []uint16{1812, 1813, 1645, 1646, 3799, 1700}

// Protocol is RADIUS: authentication, accounting, and changes of authorisation.
var Protocol = dissector.Protocol{Name: "radius", Ports: ports, Datagram: datagram}

// Parts of a packet (RFC 2865 3): code (1) | id (1) | length (2) | authenticator (16) |
// attributes, each type (1), length (1) and value.
const (
	header        = 20
	maxPacket     = 4096
	maxAttributes = 256
)

// codes are the packets (IANA, RADIUS Packet Type Codes); those in odd places are requests.
var codes = map[byte]string{
	1: "access_request", 2: "access_accept", 3: "access_reject", 4: "accounting_request", 5: "accounting_response", 11: "access_challenge", 12: "status_server", 13: "status_client",
	40: "disconnect_request", 41: "disconnect_ack", 42: "disconnect_nak", 43: "coa_request", 44: "coa_ack", 45: "coa_nak",
}

// datagram wants a known code and attributes that fill the packet's length. That is
// little, so that elsewhere than on RADIUS's ports it also wants what a packet between
// an access server and its server hardly lacks.
func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	if len(b) < header || codes[b[0]] == "" {
		return dissector.No
	}
	size := int(binary.BigEndian.Uint16(b[2:]))
	cut := len(b) < c.Headers.PayloadLen
	if size < header || size > maxPacket || size > c.Headers.PayloadLen {
		return dissector.No
	}
	home := known || isHome(c.Headers.SrcPort) || isHome(c.Headers.DstPort)
	var p packet
	whole := p.parse(b[header:min(size, len(b))])
	if !home && (!whole || cut || size != len(b) || !p.telling()) {
		return dissector.No
	}
	if !whole {
		if cut {
			c.Count("radius_cut")
		} else {
			c.Count("radius_malformed")
		}
	}
	p.emit(c, b[0])
	return dissector.Yes
}

func isHome(port uint16) bool { return slices.Contains(ports, port) }

// Attributes that are read (IANA, RADIUS Attribute Types).
const (
	userName      = 1
	userPassword  = 2
	chapPassword  = 3
	nasIP         = 4
	serviceType   = 6
	framedIP      = 8
	vendor        = 26
	calledID      = 30
	callingID     = 31
	nasID         = 32
	status        = 40
	sessionTime   = 46
	terminate     = 49
	portType      = 61
	tunnelType    = 64
	eapMessage    = 79
	authenticator = 80
	tunnelGroup   = 81
	portID        = 87
	nasIPv6       = 95
	lastKept      = 96
)

// packet is the attributes of one packet: of each type the first, of EAP all.
type packet struct {
	value  [lastKept][]byte
	vendor [][]byte
	n      int
}

const maxVendor = 16

// parse reads the attributes, and reports whether they fill b.
func (p *packet) parse(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) || p.n == maxAttributes {
			return false
		}
		kind, v := b[0], b[2:b[1]]
		switch {
		case kind == vendor && len(p.vendor) < maxVendor:
			p.vendor = append(p.vendor, v)
		case kind < lastKept && p.value[kind] == nil:
			p.value[kind] = v
		}
		p.n++
		b = b[b[1]:]
	}
	return true
}

// telling holds where there is an attribute of the right length that hardly any
// other protocol would have in that place.
func (p *packet) telling() bool {
	return len(p.value[authenticator]) == 16 || len(p.value[nasIP]) == 4 && (len(p.value[userName]) > 0 || len(p.value[status]) == 4) || len(p.value[nasIPv6]) == 16
}

// number is a value of four bytes.
func (p *packet) number(kind int) (uint32, bool) {
	if v := p.value[kind]; len(v) == 4 {
		return binary.BigEndian.Uint32(v), true
	}
	return 0, false
}

// word is the name of a number, or the number.
func (p *packet) word(kind int, names map[uint32]string) string {
	n, ok := p.number(kind)
	if !ok {
		return ""
	}
	if s := names[n]; s != "" {
		return s
	}
	return strconv.FormatUint(uint64(n), 10)
}
