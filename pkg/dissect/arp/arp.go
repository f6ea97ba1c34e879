// Package arp dissects the Address Resolution Protocol over Ethernet and IPv4
// (RFC 826; probes and announcements, RFC 5227): who says that it has which
// address. Judging a claim (spoofing, conflicts) is no business of this package.
package arp

import (
	"encoding/binary"
	"net/netip"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is ARP.
var Protocol = dissector.Protocol{Name: "arp", EtherType: packet.EtherTypeARP, Frame: frame}

// The packet, all big endian (RFC 826):
//
//	0 hardware type 1   2 protocol type 0x0800   4 lengths 6, 4   6 operation
//	8 sender MAC        14 sender IP             18 target MAC    24 target IP   28
const size = 28

const (
	request = 1
	reply   = 2
)

func frame(c *dissector.Context, b []byte) {
	if len(b) < size {
		c.Count("arp_short")
		return
	}
	op := binary.BigEndian.Uint16(b[6:])
	if binary.BigEndian.Uint32(b) != 0x0001_0800 || b[4] != 6 || b[5] != 4 || (op != request && op != reply) {
		c.Count("arp_unsupported")
		return
	}
	mac := proto.MAC(b[8:14])
	sender, target := netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	f := dissector.Fact{Kind: "request", Subject: dissector.Subject{Side: dissector.Src, MAC: mac}}
	switch {
	case sender.IsUnspecified() && op == request:
		f.Kind = "probe"
	case sender == target:
		f.Kind = "announcement"
	case op == reply:
		f.Kind = "reply"
	}
	if !sender.IsUnspecified() {
		f.Subject.IP = sender
		f.Attributes.Set("sender_ip", sender.String())
	}
	f.Attributes.Set("sender_mac", mac.String())
	if mac != c.Headers.SrcMAC {
		// A proxy, a relay, or a lie: whoever sent the frame is worth knowing.
		f.Attributes.Set("frame_mac", c.Headers.SrcMAC.String())
	}
	f.Attributes.Set("target_ip", target.String())
	c.Emit(&f)
}
