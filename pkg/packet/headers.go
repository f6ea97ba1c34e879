package packet

import (
	"net/netip"

	"github.com/wardflow/wardflow/proto"
)

// LinkType is a LINKTYPE_* value of a capture file (the tcpdump group's registry).
type LinkType uint32

// The link types that Decode understands.
const (
	LinkNull       LinkType = 0   // BSD loopback: address family in the byte order of the capturing host
	LinkEthernet   LinkType = 1   // IEEE 802.3
	LinkPPP        LinkType = 9   // PPP, with or without HDLC's address and control
	LinkRawBSD     LinkType = 12  // raw IP, the DLT value that some writers store
	LinkRawOpen    LinkType = 14  // raw IP, OpenBSD's DLT value
	LinkPPPHDLC    LinkType = 50  // PPP in HDLC-like framing (RFC 1662), or Cisco's HDLC
	LinkPPPEther   LinkType = 51  // PPPoE session without its Ethernet header
	LinkRaw        LinkType = 101 // raw IP
	LinkCiscoHDLC  LinkType = 104 // Cisco's HDLC
	LinkWLAN       LinkType = 105 // IEEE 802.11
	LinkFrameRelay LinkType = 107 // RFC 2427
	LinkLoop       LinkType = 108 // OpenBSD loopback: address family in network byte order
	LinkSLL        LinkType = 113 // Linux cooked v1
	LinkPrism      LinkType = 119 // IEEE 802.11 behind a Prism header
	LinkRadiotap   LinkType = 127 // IEEE 802.11 behind a radiotap header
	LinkAVS        LinkType = 163 // IEEE 802.11 behind an AVS header
	LinkPPPPPPD    LinkType = 166 // PPP, the first byte says the direction
	LinkJuniper    LinkType = 178 // Ethernet behind what Juniper's routers put before it
	LinkPPI        LinkType = 192 // per-packet information, then what it names
	LinkPPPWithDir LinkType = 204 // PPP behind a byte that says the direction
	LinkIPv4       LinkType = 228 // raw IPv4
	LinkIPv6       LinkType = 229 // raw IPv6
	LinkNFLog      LinkType = 239 // Linux netfilter's log
	LinkPKTAP      LinkType = 258 // Apple's tap, then what it names
	LinkSLL2       LinkType = 276 // Linux cooked v2
)

// The EtherTypes that matter here (IEEE 802 numbers, IANA).
const (
	EtherTypeIPv4  uint16 = 0x0800
	EtherTypeARP   uint16 = 0x0806
	EtherTypeVLAN  uint16 = 0x8100 // 802.1Q
	EtherTypeIPv6  uint16 = 0x86dd
	EtherTypePPP   uint16 = 0x880b // not IP: link control, authentication, ...
	EtherTypePPPoE uint16 = 0x8864 // session
	EtherTypeMPLS  uint16 = 0x8847
	EtherTypeQinQ  uint16 = 0x88a8 // 802.1ad
	EtherTypeLLDP  uint16 = 0x88cc

	etherTypeBridged    uint16 = 0x6558 // an Ethernet frame, in GRE and its kin
	etherTypeMPLSMulti  uint16 = 0x8848 // MPLS, multicast or upstream label
	etherTypeSGT        uint16 = 0x8909 // Cisco's metadata, with its security group tag
	etherTypeVNTag      uint16 = 0x8926 // Cisco's VN-Tag
	etherTypeETag       uint16 = 0x893f // 802.1BR
	etherTypeNSH        uint16 = 0x894f // RFC 8300
	etherTypeMACsec     uint16 = 0x88e5 // 802.1AE
	etherTypeFabricPath uint16 = 0x8903 // Cisco's, a frame in a switch's frame
	etherTypePBB        uint16 = 0x88e7 // 802.1ah: a frame in a provider's frame
	etherTypeOldQ       uint16 = 0x9100 // QinQ before 802.1ad
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
	WireLen         int       // bytes of the frame on the wire
	SrcMAC, DstMAC  proto.MAC // innermost
	CarrierMAC      bool      // the MACs are of those who carry the IP packet between them (a tunnel's ends), not of who has its addresses
	EtherType       uint16    // innermost, after VLAN tags; 0 for 802.3 with LLC, whose LLC starts LinkPayload
	VLAN, VLANInner proto.VLAN
	VNI             uint32 // the virtual network, 24 bits, of a tunnel that numbers them: addresses mean something else in each; 0 for none
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

// clear makes h ready for the next frame, but for what Decode sets: with more the
// compiler would not put it there in place of a call. Tunnels beyond NTunnels are
// never read, so they are left as they are: clearing them would cost more than the
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
}

// clearIP forgets the IP header and what is behind it.
func (h *Headers) clearIP() {
	h.Transport, h.TTL, h.TCPFlags = 0, 0, 0
	h.SrcPort, h.DstPort, h.Window, h.Seq, h.Ack = 0, 0, 0, 0, 0
	h.SrcIP, h.DstIP = netip.Addr{}, netip.Addr{}
	h.Packets, h.IPBytes, h.PayloadLen = 1, 0, 0
	h.Header, h.Payload = nil, nil
	h.Fragment = Fragment{}
}
