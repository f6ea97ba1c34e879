package bacnet

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is BACnet.
var Protocol = dissector.Protocol{Name: "bacnet", Ports: []uint16{port}, Datagram: datagram, Frame: frame}

const (
	port     = 47808 // and the fifteen after it, by custom: one for each BACnet network
	lastPort = port + 15
)

// The virtual link layer's header (annex J.2):
//
//	0 type 0x81   1 function   2 length of all   4 ...
//
// Over IPv6 (annex U.2) the type is 0x82, and the sender's virtual address of
// three bytes follows the length.
const (
	typeIPv4 = 0x81
	typeIPv6 = 0x82
)

// The functions of the virtual link layer (J.2).
const (
	bvlcResult = iota
	bvlcWriteTable
	bvlcReadTable
	bvlcReadTableAck
	bvlcForwarded
	bvlcRegister
	bvlcReadForeign
	bvlcReadForeignAck
	bvlcDeleteForeign
	bvlcDistribute
	bvlcUnicast
	bvlcBroadcast
	bvlcSecure
	bvlcFunctions
)

// message is what is being read, and what all facts of it have in common.
type message struct {
	c    *dissector.Context
	st   *state            // of the flow; nil without one
	who  dissector.Subject // who sent it, in BACnet's view
	bbmd netip.Addr        // who forwarded it
	// As the network layer has them; 0 and "" for this network.
	network, targetNetwork uint16
	address, targetAddress string
}

// fact begins a fact about the sender.
func (m *message) fact(kind, role string) dissector.Fact {
	f := dissector.Fact{Kind: kind, Subject: m.who}
	a := &f.Attributes
	a.Set("role", role)
	if m.network != 0 {
		a.Set("network", strconv.Itoa(int(m.network)))
		a.Set("address", m.address)
	}
	if m.targetNetwork != 0 && m.targetAddress != "" {
		a.Set("target_network", strconv.Itoa(int(m.targetNetwork)))
		a.Set("target_address", m.targetAddress)
	}
	if m.bbmd.IsValid() {
		a.Set("bbmd", m.bbmd.String())
	}
	return f
}

func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	if len(b) < 4 || b[0] != typeIPv4 && b[0] != typeIPv6 {
		return dissector.No
	}
	// A length that is not the datagram's is somebody else's, or a damaged message.
	if n := int(binary.BigEndian.Uint16(b[2:])); n != c.Headers.PayloadLen || n < 4 || len(b) < 5 {
		return dissector.No
	}
	if len(b) < c.Headers.PayloadLen {
		c.Count("bacnet_cut")
	}
	m := message{c: c, who: dissector.Subject{Side: c.Side}}
	if b[0] == typeIPv6 {
		return m.ipv6(b, known)
	}
	return m.ipv4(b, known)
}

// frame is BACnet over Ethernet: LLC with both service access points 0x82.
func frame(c *dissector.Context, b []byte) {
	if len(b) < 5 || b[0] != 0x82 || b[1] != 0x82 || b[2] != 3 || !isNPDU(b[3:]) {
		return
	}
	m := message{c: c, who: dissector.Subject{Side: c.Side}}
	m.npdu(b[3:])
}

// ipv4 reads a message of annex J. Everything that is told is told once the
// message is known to be whole.
func (m *message) ipv4(b []byte, known bool) dissector.Verdict {
	function, body := b[1], b[4:]
	if function >= bvlcFunctions {
		return dissector.No
	}
	switch function {
	case bvlcUnicast, bvlcBroadcast, bvlcDistribute:
	case bvlcForwarded:
		if len(body) < 6 {
			return dissector.No
		}
		origin := netip.AddrFrom4([4]byte(body))
		if !isPort(binary.BigEndian.Uint16(body[4:])) && !known && !m.atHome() {
			return dissector.No
		}
		m.forwarded(origin)
		body = body[6:]
	default:
		return m.management(function, body, known)
	}
	if !isNPDU(body) {
		if !known {
			return dissector.No
		}
		m.c.Count("bacnet_npdu_malformed")
		return dissector.Yes
	}
	m.st = m.state()
	m.npdu(body)
	return dissector.Yes
}

// forwarded makes the message one of the device that sent the broadcast, on
// whose behalf a broadcast management device (BBMD) repeats it.
func (m *message) forwarded(origin netip.Addr) {
	if origin == m.c.Headers.SrcIP || !origin.IsValid() || origin.IsUnspecified() {
		return
	}
	m.bbmd = m.c.Headers.SrcIP
	m.who = dissector.Subject{Side: dissector.Other, IP: origin}
}

func isPort(p uint16) bool { return p >= port && p <= lastPort }

// atHome reports whether the packet comes from or goes to a port of BACnet's.
func (m *message) atHome() bool {
	return isPort(m.c.Headers.SrcPort) || isPort(m.c.Headers.DstPort)
}

// The functions of annex U that carry an NPDU, and their headers' sizes.
var ipv6Headers = map[byte]int{1: 6, 2: 3, 8: 21}

// ipv6 reads a message of annex U; of its management nothing is told.
func (m *message) ipv6(b []byte, known bool) dissector.Verdict {
	function, body := b[1], b[4:]
	if function > 0x0c || len(body) < 3 {
		return dissector.No
	}
	n := ipv6Headers[function]
	if n == 0 {
		if !known && !m.atHome() {
			return dissector.No
		}
		return dissector.Yes
	}
	if len(body) < n || !isNPDU(body[n:]) {
		return dissector.No
	}
	if function == 8 {
		m.forwarded(netip.AddrFrom16([16]byte(body[3:])).Unmap())
	}
	m.st = m.state()
	m.npdu(body[n:])
	return dissector.Yes
}

// The sizes of management messages' bodies; -1 is any multiple of ten.
var managementSizes = [bvlcFunctions]int{bvlcResult: 2, bvlcWriteTable: -1, bvlcReadTable: 0, bvlcReadTableAck: -1, bvlcRegister: 2, bvlcReadForeign: 0, bvlcReadForeignAck: -1, bvlcDeleteForeign: 6}

const maxListed = 32 // addresses of a table that are told

// management reads what is said to and by BBMDs (J.2.1 to J.2.9).
func (m *message) management(function byte, body []byte, known bool) dissector.Verdict {
	size := m.c.Headers.PayloadLen - 4
	want := managementSizes[function]
	switch {
	case function == bvlcSecure:
		if !known && !m.atHome() {
			return dissector.No
		}
		m.c.Count("bacnet_secured")
		return dissector.Yes
	case want >= 0 && size != want, want < 0 && size%10 != 0, !known && !m.atHome():
		return dissector.No
	case want >= 0 && len(body) < want:
		return dissector.Yes // cut by the capture
	}
	m.st = m.state()
	var f dissector.Fact
	switch function {
	case bvlcResult:
		code := binary.BigEndian.Uint16(body)
		if code == 0 {
			return dissector.Yes
		}
		f = m.fact("bvlc_result", "")
		f.Attributes.Set("result", name(bvlcResults, code))
	case bvlcWriteTable:
		f = m.fact("write_broadcast_table", "client")
		f.Attributes.Set("entries", strconv.Itoa(size/10))
		f.Attributes.SetList("peers", addresses(body))
	case bvlcReadTable:
		f = m.fact("read_broadcast_table", "client")
	case bvlcReadTableAck:
		f = m.fact("bbmd", "server")
		f.Attributes.Set("entries", strconv.Itoa(size/10))
		f.Attributes.SetList("peers", addresses(body))
	case bvlcRegister:
		f = m.fact("register_foreign_device", "client")
		f.Attributes.Set("ttl_s", strconv.Itoa(int(binary.BigEndian.Uint16(body))))
	case bvlcReadForeign:
		f = m.fact("read_foreign_devices", "client")
	case bvlcReadForeignAck:
		f = m.fact("bbmd", "server")
		f.Attributes.SetList("foreign_devices", addresses(body))
	case bvlcDeleteForeign:
		f = m.fact("delete_foreign_device", "client")
		f.Attributes.SetList("foreign_devices", addresses(append(body[:6:6], 0, 0, 0, 0)))
	}
	m.emit(&f)
	return dissector.Yes
}

// addresses reads a table of ten bytes an entry, of which the first six are an
// address and a port.
func addresses(b []byte) []string {
	var list []string
	for ; len(b) >= 10 && len(list) < maxListed; b = b[10:] {
		list = append(list, netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), binary.BigEndian.Uint16(b[4:])).String())
	}
	return list
}

// bvlcResults are the results of J.2.1.1.
var bvlcResults = map[uint16]string{
	0x10: "write_broadcast_table_refused",
	0x20: "read_broadcast_table_refused",
	0x30: "register_foreign_device_refused",
	0x40: "read_foreign_devices_refused",
	0x50: "delete_foreign_device_refused",
	0x60: "distribute_broadcast_refused",
}

// name is a number's word, or the number.
func name[K ~uint8 | ~uint16](words map[K]string, k K) string {
	if s := words[k]; s != "" {
		return s
	}
	return strconv.Itoa(int(k))
}

// station writes a data link address the way it stands in an equipment id.
func station(b []byte) string { return hex.EncodeToString(b) }
