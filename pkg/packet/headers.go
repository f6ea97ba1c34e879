package packet

import (
	"net/netip"

	"github.com/wardflow/wardflow/proto"
)

// LinkType is a LINKTYPE_* value of a capture file (the tcpdump group's registry).
type LinkType uint32

// The link types that Decode understands.
const (
	LinkNull     LinkType = 0   // BSD loopback: address family in the byte order of the capturing host
	LinkEthernet LinkType = 1   // IEEE 802.3
	LinkRawBSD   LinkType = 12  // raw IP, the DLT value that some writers store
	LinkRawOpen  LinkType = 14  // raw IP, OpenBSD's DLT value
	LinkRaw      LinkType = 101 // raw IP
	LinkLoop     LinkType = 108 // OpenBSD loopback: address family in network byte order
	LinkSLL      LinkType = 113 // Linux cooked v1
	LinkIPv4     LinkType = 228 // raw IPv4
	LinkIPv6     LinkType = 229 // raw IPv6
	LinkSLL2     LinkType = 276 // Linux cooked v2
)

// The EtherTypes that matter here (IEEE 802 numbers, IANA).
const (
	EtherTypeIPv4 uint16 = 0x0800
	EtherTypeARP  uint16 = 0x0806
	EtherTypeVLAN uint16 = 0x8100 // 802.1Q
	EtherTypeIPv6 uint16 = 0x86dd
	EtherTypeQinQ uint16 = 0x88a8 // 802.1ad
	EtherTypeLLDP uint16 = 0x88cc
	etherTypeOldQ uint16 = 0x9100 // QinQ before 802.1ad
)

// The TCP flags (RFC 9293 3.1).
const (
	FIN uint8 = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// MaxTunnels is how many outer headers are listed.
const MaxTunnels = 4

// Tunnel is an outer header that was taken off: its kind (the usual lower-case
// name: gre, vxlan, ...), its addresses, and the tunnel's own number, 0 for none.
type Tunnel struct {
	Kind         string
	SrcIP, DstIP netip.Addr
	ID           uint32
}

// Fragment says what a datagram had to be put together from; zero for one that
// came whole.
type Fragment struct {
	ID      uint32 // IPv4 or IPv6 identification
	Count   int    // fragments that made the datagram, 0 for none
	Overlap bool   // fragments disagreed about who owns a byte: the first one won
}

// Headers are the headers of one frame, innermost IP. Decode fills it anew each
// time; byte slices point into the frame (or into the Decoder, for a datagram
// put together from fragments) and are valid until the next Decode.
type Headers struct {
	Time            proto.Time
	WireLen         int // bytes of the frame on the wire
	SrcMAC, DstMAC  proto.MAC
	EtherType       uint16 // innermost, after VLAN tags; 0 for 802.3 with LLC, whose LLC starts LinkPayload
	VLAN, VLANInner proto.VLAN
	Transport       proto.Transport
	TTL             uint8 // or hop limit
	TCPFlags        uint8
	SrcPort         uint16 // ICMP: the type
	DstPort         uint16 // ICMP: the code
	Window          uint16
	Seq, Ack        uint32
	SrcIP, DstIP    netip.Addr // unmapped, no zone; not valid when the frame has no IP
	Packets         int        // IP packets that these headers stand for: more than 1 for a datagram put together from fragments
	IPBytes         int        // from the IP length field, of all Packets: padding never counts, a cut snaplen does
	PayloadLen      int        // transport payload by the lengths in the headers
	Header          []byte     // transport header as captured, options included; ICMP: up to 8 bytes
	Payload         []byte     // transport payload as captured; shorter than PayloadLen where the snaplen cut
	LinkPayload     []byte     // what follows the EtherType
	Fragment        Fragment
	NTunnels        int
	Tunnels         [MaxTunnels]Tunnel // the first NTunnels are outer headers, outermost first
}

// IsIP reports whether the frame carried IP.
func (h *Headers) IsIP() bool { return h.SrcIP.IsValid() }

// clear makes h ready for the next frame. Tunnels beyond NTunnels are never
// read, so they are left as they are: clearing them would cost more than the
// rest of the header path.
func (h *Headers) clear() {
	h.SrcMAC, h.DstMAC = proto.MAC{}, proto.MAC{}
	h.EtherType, h.VLAN, h.VLANInner = 0, 0, 0
	h.Transport, h.TTL, h.TCPFlags = 0, 0, 0
	h.SrcPort, h.DstPort, h.Window, h.Seq, h.Ack = 0, 0, 0, 0, 0
	h.SrcIP, h.DstIP = netip.Addr{}, netip.Addr{}
	h.Packets, h.IPBytes, h.PayloadLen = 1, 0, 0
	h.Header, h.Payload, h.LinkPayload = nil, nil, nil
	h.Fragment = Fragment{}
	h.NTunnels = 0
}
