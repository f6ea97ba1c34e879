package label

import (
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

var tunnels = []*dissector.Protocol{
	atHome(udp("esp", func(_ *dissector.Context, b []byte) bool { // RFC 3948 2: SPI, number; or a keep-alive
		return len(b) == 1 && b[0] == 0xff || len(b) > 16 && be32(b) > 255
	}, 4500)),
	{Name: "wireguard", Ports: []uint16{51820}, Datagram: wireguard},
	atHome(udp("l2tp", l2tp, 1701)),
	tcp("pptp", whole("\x00\x01", 12, func(b []byte) bool { // RFC 2637 1.4: length, message 1, cookie, kind
		return be16(b[2:]) == 1 && be32(b[4:]) == 0x1a2b3c4d && be16(b) >= 16 && be16(b) <= 256 && be16(b[8:]) <= 15
	}), 1723),
	atHome(udp("teredo", func(_ *dissector.Context, b []byte) bool { // RFC 4380 5.1.1: what could not be unpacked
		return len(b) >= 8 && (b[0]>>4 == 6 || be16(b) <= 1)
	}, 3544)),
}

// wireguard knows an initiation or an answer by kind, zeros and length; a flow
// that was keyed before it was seen by kind 4 and a number of packets that is no large
// one (wireguard.com/protocol).
func wireguard(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
	if len(b) < 32 || b[1]|b[2]|b[3] != 0 {
		return dissector.No
	}
	switch b[0] {
	case 1:
		return settle(c, len(b) == 148)
	case 2:
		return settle(c, len(b) == 92)
	case 3:
		return settle(c, len(b) == 64 && on(c, 51820))
	case 4:
		return settle(c, len(b)%16 == 0 && be32(b[4:]) != 0 && (be32(b[12:]) == 0 || on(c, 51820)))
	}
	return dissector.No
}

// settle is Yes, and no more to read, where is.
func settle(c *dissector.Context, is bool) dissector.Verdict {
	if is {
		c.Sink.Done()
	}
	return yes(is)
}

// l2tp knows control messages by their length, and data messages by their version
// (RFC 2661 3.1).
func l2tp(_ *dissector.Context, b []byte) bool {
	if len(b) < 6 || b[1]&0x0f != 2 && b[1]&0x0f != 3 {
		return false
	}
	if b[0]&0x80 != 0 {
		return b[0]&0x48 == 0x48 && be16(b[2:]) == len(b)
	}
	return b[0]&0x40 == 0 || be16(b[2:]) <= len(b)
}
