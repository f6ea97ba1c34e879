package packet

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/wardflow/wardflow/proto"
)

// MaxTunnels is how many outer headers are taken off and listed. What is behind
// so many is not looked into: the packet counts as what the last of them says.
const MaxTunnels = 4

// Tunnel is an outer header that was taken off, with all that stands between it
// and what it carries: GRE with ERSPAN is one tunnel. SrcIP and DstIP are not
// valid where there was no IP header (MPLS, PPPoE). ID is the tunnel's own
// number, 0 for none.
type Tunnel struct {
	SrcIP, DstIP netip.Addr
	ID           uint32
	Kind         TunnelKind
}

// TunnelKind says how a tunnel carries what it carries.
type TunnelKind uint8

// The kinds of tunnels; what the ID of each is.
const (
	TunnelIPIP       TunnelKind = iota + 1 // IPv4 in IPv4 (RFC 2003)
	Tunnel4in6                             // RFC 2473
	Tunnel6in4                             // RFC 4213; 6to4 and ISATAP are this on the wire
	Tunnel6in6                             // RFC 2473, RFC 8986
	TunnelGRE                              // RFC 2784, 2890, 1701: the key
	TunnelNVGRE                            // RFC 7637: the virtual subnet
	TunnelPPTP                             // RFC 2637: the call
	TunnelERSPAN                           // the session
	TunnelWCCP                             // a web cache's redirection
	TunnelEoIP                             // MikroTik's: the tunnel
	TunnelEtherIP                          // RFC 3378
	TunnelSRv6                             // an Ethernet frame in IPv6 (RFC 8986)
	TunnelVXLAN                            // RFC 7348: the virtual network
	TunnelVXLANGPE                         // the virtual network
	TunnelGENEVE                           // RFC 8926: the virtual network
	TunnelGTP                              // 3GPP TS 29.281: the endpoint
	TunnelTeredo                           // RFC 4380
	TunnelAYIYA                            // draft-massar-v6ops-ayiya
	TunnelLISP                             // RFC 9300: the instance
	TunnelL2TP                             // RFC 2661: the tunnel and the session, 16 bits each
	TunnelCAPWAP                           // RFC 5415
	TunnelTZSP                             // TaZmen sniffer protocol
	TunnelMPLS                             // RFC 3032: the last label
	TunnelPPPoE                            // RFC 2516: the session
	TunnelPBB                              // IEEE 802.1ah: the service
	TunnelFabricPath                       // Cisco's: the tree
	TunnelNSH                              // RFC 8300: the service path
	tunnelKinds
)

var tunnelNames = [tunnelKinds]string{
	"unknown", "ipip", "4in6", "6in4", "6in6", "gre", "nvgre", "pptp", "erspan", "wccp", "eoip", "etherip", "srv6", "vxlan", "vxlan_gpe",
	"geneve", "gtp", "teredo", "ayiya", "lisp", "l2tp", "capwap", "tzsp", "mpls", "pppoe", "pbb", "fabricpath", "nsh",
}

// String gives the kind's usual name in lower case.
func (k TunnelKind) String() string {
	if k < tunnelKinds {
		return tunnelNames[k]
	}
	return tunnelNames[0]
}

// String gives the tunnel as flows list it: the kind, the two addresses, the ID;
// what is not there is left out.
//
//	vxlan 10.0.0.1>10.0.0.2 42
func (t *Tunnel) String() string {
	b := append(make([]byte, 0, 48), t.Kind.String()...)
	if t.SrcIP.IsValid() {
		b = t.SrcIP.AppendTo(append(b, ' '))
		b = t.DstIP.AppendTo(append(b, '>'))
	}
	if t.ID != 0 {
		b = strconv.AppendUint(append(b, ' '), uint64(t.ID), 10)
	}
	return string(b)
}

// inside takes a tunnel's header off: b is what it carries, of the EtherType, and
// length what the headers say of len(b). Where that comes to nothing, h is left as
// it was: the outer packet is then a packet like any other. entered says which.
func (d *Decoder) inside(kind TunnelKind, id uint32, etherType uint16, b []byte, length int, h *Headers) (r Reason, entered bool) {
	if h.NTunnels == MaxTunnels {
		d.Counters[TunnelDeep]++
		return OK, false
	}
	if etherType == etherTypeBridged && !bridged(b, length, kind.sure()) {
		return OK, false
	}
	outer := *h
	h.Tunnels[h.NTunnels] = Tunnel{SrcIP: h.SrcIP, DstIP: h.DstIP, ID: id, Kind: kind}
	h.NTunnels++
	h.clearIP()
	h.CarrierMAC = true
	switch kind {
	case TunnelVXLAN, TunnelVXLANGPE, TunnelGENEVE, TunnelNVGRE, TunnelLISP:
		h.VNI = id & 0xffffff
	case TunnelPPPoE: // a host's own link to its provider
		h.CarrierMAC = outer.CarrierMAC
	}
	r = d.payload(etherType, b, length, h)
	switch {
	case r == FragmentWait:
		return r, true
	case r == OK && h.IsIP():
		if h.CarrierMAC && h.SrcIP.IsUnspecified() {
			h.SrcMAC = proto.MAC{} // it would name who has no address yet
		}
		return OK, true
	case r == OK && !h.CarrierMAC:
		return OK, true // a frame without IP
	}
	*h = outer
	if r != OK && kind != TunnelMPLS { // which had to guess
		d.Counters[TunnelBroken]++
	}
	return OK, false
}

// sure reports that the outer header says by itself what follows, and not a port
// or a guess: then any frame inside is believed.
func (k TunnelKind) sure() bool {
	switch k {
	case TunnelGRE, TunnelNVGRE, TunnelERSPAN, TunnelEoIP, TunnelEtherIP, TunnelPBB, TunnelFabricPath, TunnelNSH:
		return true
	}
	return false
}

// bridged reports that b may be an Ethernet frame: its EtherType is a length that is
// not beyond what is there, or one that is in use on real networks. Where only a
// port or a guess says that a frame follows, anything else speaks against it; where
// it is sure, it may be unknown here.
func bridged(b []byte, length int, sure bool) bool {
	if len(b) < 14 {
		return false
	}
	etherType := binary.BigEndian.Uint16(b[12:])
	switch etherType {
	case EtherTypeIPv4:
		return len(b) > 14 && b[14]>>4 == 4
	case EtherTypeIPv6:
		return len(b) > 14 && b[14]>>4 == 6
	case EtherTypeARP, EtherTypeVLAN, EtherTypeQinQ, etherTypeOldQ, EtherTypeLLDP,
		EtherTypeMPLS, etherTypeMPLSMulti, EtherTypePPPoE, etherTypePBB, etherTypeNSH, etherTypeVNTag, etherTypeETag, etherTypeSGT,
		0x0842,                         // Wake on LAN
		0x6002, 0x6003, 0x6004, 0x8038, // DEC
		0x8035, 0x8137, 0x809b, 0x80f3, // RARP, IPX, AppleTalk
		0x8808, 0x8809, 0x8863, // flow control, slow protocols, PPPoE discovery
		0x886d, 0x887b, 0x888e, 0x8892, 0x8899, 0x88a4, // teaming, HomePlug, EAPOL, PROFINET, Realtek, EtherCAT
		0x88b8, 0x88b9, 0x88ba, // IEC 61850
		0x88c7, 0x88cd, 0x88d9, 0x88e1, 0x88e3, etherTypeMACsec, // pre-authentication, SERCOS, LLTD, HomePlug, MRP, MACsec
		0x88f5, 0x88f7, 0x88fb, 0x8902, 0x8906, 0x890d, // MVRP, PTP, PRP, CFM, FCoE, fast roaming
		0x8914, 0x891d, 0x892f, 0x8940, 0x9000, // FIP, TTE, HSR, ECP, loopback
		0x22ea, 0x22f0, 0x22f3: // AVB, TRILL
		return true
	}
	return sure && etherType >= 0x600 || etherType >= 3 && etherType <= 1500 && 14+int(etherType) <= length
}

// fits reports that b begins with an IP header whose length is within length.
func fits(b []byte, length int) bool {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		total := int(binary.BigEndian.Uint16(b[2:]))
		return b[0]&15 >= 5 && total >= int(b[0]&15)*4 && total <= length
	case len(b) >= 40 && b[0]>>4 == 6:
		return 40+int(binary.BigEndian.Uint16(b[4:])) <= length
	}
	return false
}

// versionType gives the EtherType of an IP header by its version.
func versionType(b []byte) uint16 {
	if len(b) > 0 && b[0]>>4 == 6 {
		return EtherTypeIPv6
	}
	return EtherTypeIPv4
}

// The IP protocols that carry packets or frames (IANA).
const (
	nextIPv4     proto.Transport = 4
	nextIPv6     proto.Transport = 41
	nextGRE      proto.Transport = 47
	nextAH       proto.Transport = 51
	nextEtherIP  proto.Transport = 97
	nextMPLS     proto.Transport = 137
	nextEthernet proto.Transport = 143
)

// inIP looks into an IP payload of a transport that carries others.
func (d *Decoder) inIP(b []byte, length int, h *Headers) Reason {
	h.PayloadLen, h.Payload = length, b
	r := OK
	switch h.Transport {
	case nextIPv4:
		kind := TunnelIPIP
		if h.SrcIP.Is6() {
			kind = Tunnel4in6
		}
		r, _ = d.inside(kind, 0, EtherTypeIPv4, b, length, h)
	case nextIPv6:
		kind := Tunnel6in4
		if h.SrcIP.Is6() {
			kind = Tunnel6in6
		}
		r, _ = d.inside(kind, 0, EtherTypeIPv6, b, length, h)
	case nextGRE:
		r = d.gre(b, length, h)
	case nextEtherIP: // version 3 and 12 reserved bits
		if len(b) > 2 && b[0] == 0x30 && b[1] == 0 {
			r, _ = d.inside(TunnelEtherIP, 0, etherTypeBridged, b[2:], length-2, h)
		}
	case nextMPLS:
		r, _ = d.mpls(b, length, h)
	case nextEthernet:
		r, _ = d.inside(TunnelSRv6, 0, etherTypeBridged, b, length, h)
	}
	return r
}
