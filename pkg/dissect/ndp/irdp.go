package ndp

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// ICMP is what is read of ICMP for IPv4: the advertisements of routers (RFC 1256).
var ICMP = dissector.Protocol{Name: "icmp", Transport: proto.ICMP, Message: message4}

// The message:
//
//	0 type 9   1 code 0 or 16   4 number of addresses   5 words of each, 2   6 lifetime   8 address, preference, ...
const (
	advertisement4 = 9
	head4          = 8
	mobileAgent    = 16 // RFC 5944
)

func message4(c *dissector.Context, b []byte) dissector.Verdict {
	if len(b) < head4 || b[0] != advertisement4 || b[1] != 0 && b[1] != mobileAgent || b[5] != 2 || len(b) < head4+8*int(b[4]) {
		return dissector.No
	}
	f := dissector.Fact{Kind: "router_advertisement", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "router")
	f.Attributes.Set("lifetime_s", strconv.Itoa(int(binary.BigEndian.Uint16(b[6:]))))
	var list []string
	for i := range min(int(b[4]), maxList) {
		list = append(list, netip.AddrFrom4([4]byte(b[head4+8*i:])).String())
	}
	f.Attributes.SetList("ips", list)
	c.Emit(&f)
	return dissector.Yes
}
