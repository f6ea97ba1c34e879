package label

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

var networks = []*dissector.Protocol{
	tcp("bgp", whole("\xff", 19, func(b []byte) bool { // RFC 4271 4.1: marker, length, type
		return bytes.Count(b[:16], []byte{0xff}) == 16 && be16(b[16:]) >= 19 && be16(b[16:]) <= 4096 && b[18] >= 1 && b[18] <= 5
	}), 179),
	both("ldp", whole("\x00", 14, ldp), func(_ *dissector.Context, b []byte) bool { return len(b) >= 14 && ldp(b) && be16(b[2:]) == len(b)-4 }, 646),
	udp("bfd", bfd, 3784, 3785, 4784, 7784),
	udp("hsrp", hsrp, 1985, 2029),
	udp("rip", rip, 520),
	both("slp", whole("\x02", 14, slp), slpUDP, 427),
	udp("netflow", netflow, 2055, 9995, 9996),
	udp("ipfix", ipfix, 4739),
	udp("sflow", sflow, 6343),
	udp("xdmcp", func(_ *dissector.Context, b []byte) bool { // XDMCP 1.1: version, opcode, length
		return len(b) >= 6 && be16(b) == 1 && be16(b[2:]) >= 1 && be16(b[2:]) <= 14 && be16(b[4:]) == len(b)-6
	}, 177),
	atHome(udp("natpmp", func(_ *dissector.Context, b []byte) bool { // RFC 6886 3, RFC 6887 7
		return len(b) >= 2 && (b[0] == 0 && (len(b) == 2 || len(b) == 12 || len(b) == 16) || b[0] == 2 && len(b) >= 24 && len(b) <= 1100 && len(b)%4 == 0)
	}, 5350, 5351)),
	udp("ubnt", ubnt, 10001),
	both("diameter", whole("\x01", 20, diameter), func(*dissector.Context, []byte) bool { return false }, 3868),
	atHome(udp("gtp", gtp, 2123, 2152, 3386)),
	atHome(udp("pfcp", pfcp, 8805)),
	udp("syncthing", func(_ *dissector.Context, b []byte) bool { return len(b) > 20 && be32(b) == 0x2ea7d90b }, 21027),
	udp("dropbox", func(c *dissector.Context, b []byte) bool {
		return on(c, 17500) && len(b) > 0 && b[0] == '{' && bytes.Contains(b[:min(len(b), 120)], []byte(`"host_int"`))
	}, 17500),
	both("bittorrent", begins("\x13BitTorrent protocol"), bittorrent),
}

// ldp knows a PDU: version 1, length, the sender's address, label space 0 or a small
// one, and a message of a kind there is (RFC 5036 3.1, 3.5).
func ldp(b []byte) bool {
	kind := be16(b[10:]) & 0x7fff
	return be16(b) == 1 && be16(b[2:]) >= 14 && be16(b[2:]) <= 4096 && (kind == 1 || kind >= 0x100 && kind <= 0x404) && be16(b[12:]) <= be16(b[2:])-10
}

// bfd knows a control packet by version 1 and its length, and echoes by their port
// (RFC 5880 4.1, RFC 5881 4).
func bfd(c *dissector.Context, b []byte) bool {
	if !on(c, 3784, 3785, 4784, 7784) {
		return false
	}
	return on(c, 3785) || len(b) >= 24 && b[0]>>5 == 1 && int(b[3]) == len(b) && b[2] > 0
}

// hsrp knows version 1 by its twenty bytes, and version 2 by its first TLV (RFC 2281 5).
func hsrp(c *dissector.Context, b []byte) bool {
	if !on(c, 1985, 2029) || len(b) < 20 {
		return false
	}
	return b[0] == 0 && b[1] <= 3 && b[2] <= 16 || b[0] >= 1 && b[0] <= 4 && int(b[1]) <= len(b)-2 && b[1] >= 4
}

// rip knows versions 1 and 2 (RFC 2453 4).
func rip(c *dissector.Context, b []byte) bool {
	return on(c, 520) && len(b) >= 24 && (len(b)-4)%20 == 0 && (b[0] == 1 || b[0] == 2) && (b[1] == 1 || b[1] == 2) && b[2]|b[3] == 0
}

// slp knows a header of version 2 with a language tag (RFC 2608 8).
func slp(b []byte) bool {
	return b[0] == 2 && b[1] >= 1 && b[1] <= 11 && b[5]&0x1f == 0 && b[6] == 0 && be16(b[12:]) <= 8
}

// slpUDP knows both versions by their length (RFC 2165 4).
func slpUDP(_ *dissector.Context, b []byte) bool {
	if len(b) < 14 || b[1] < 1 || b[1] > 11 {
		return false
	}
	return b[0] == 2 && slp(b) && int(b[2])<<16|be16(b[3:]) == len(b) || b[0] == 1 && be16(b[2:]) == len(b) && b[4]&7 == 0 && b[5] == 0
}

// netflow knows the versions of Cisco's own: 1, 5 and 7 by their count, 9 by its sets
// (RFC 3954 5).
func netflow(_ *dissector.Context, b []byte) bool {
	if len(b) < 24 {
		return false
	}
	n := be16(b[2:])
	switch be16(b) {
	case 1:
		return n >= 1 && n <= 24 && len(b) == 16+52*n
	case 5:
		return n >= 1 && n <= 30 && len(b) == 24+48*n
	case 7:
		return n >= 1 && n <= 28 && len(b) == 24+52*n
	case 9:
		return n >= 1 && sets(b[20:], 0, 1)
	}
	return false
}

// ipfix knows version 10 by its length and sets (RFC 7011 3.1).
func ipfix(_ *dissector.Context, b []byte) bool {
	return len(b) >= 20 && be16(b) == 10 && be16(b[2:]) == len(b) && sets(b[16:], 2, 3)
}

// sets walks flow sets: template, options template, or data sets of 256 and above.
func sets(b []byte, template, options int) bool {
	for len(b) >= 4 {
		id, n := be16(b), be16(b[2:])
		if id != template && id != options && id < 256 || n < 4 || n > len(b) {
			return false
		}
		b = b[n:]
	}
	return true
}

// sflow knows version 5, with an agent's address, a number and samples (sflow.org,
// version 5, section 5).
func sflow(_ *dissector.Context, b []byte) bool {
	if len(b) < 28 || be32(b) != 5 && be32(b) != 4 && be32(b) != 2 {
		return false
	}
	at := 12 // behind an IPv4 address
	switch be32(b[4:]) {
	case 1:
	case 2:
		at = 24
	default:
		return false
	}
	if be32(b) == 5 {
		at += 4 // sub-agent
	}
	return len(b) >= at+12 && be32(b[at+8:]) <= 1000
}

// ubnt knows Ubiquiti's discovery: version, command, length, then TLVs of one byte
// and a length of two (as nmap's and Wireshark's notes on it list them).
func ubnt(c *dissector.Context, b []byte) bool {
	if !on(c, 10001) || len(b) < 4 || b[0] != 1 && b[0] != 2 || be16(b[2:]) != len(b)-4 {
		return false
	}
	for b = b[4:]; len(b) > 0; b = b[3+be16(b[1:]):] {
		if len(b) < 3 || 3+be16(b[1:]) > len(b) {
			return false
		}
	}
	return true
}

// diameter knows a header of version 1 with a command of the base protocol (RFC 6733 3).
func diameter(b []byte) bool {
	n, command := int(b[1])<<16|be16(b[2:]), int(b[5])<<16|be16(b[6:])
	return b[0] == 1 && n >= 20 && n%4 == 0 && n < 1<<16 && b[4]&0x0f == 0 && (command == 257 || command == 280 || command == 282 || command >= 258 && command <= 275 || command >= 300 && command <= 325)
}

// gtp knows versions 1 and 2 by their length (3GPP TS 29.060 6, 29.274 5).
func gtp(_ *dissector.Context, b []byte) bool {
	switch {
	case len(b) < 8:
		return false
	case b[0]>>4 == 3, b[0]>>4 == 2: // version 1, GTP or GTP'
		n := be16(b[2:])
		return n == len(b)-8 || n == len(b)-6
	case b[0]>>5 == 2:
		return be16(b[2:]) == len(b)-4
	}
	return false
}

// pfcp knows version 1 by its length (3GPP TS 29.244 7.2).
func pfcp(_ *dissector.Context, b []byte) bool {
	return len(b) >= 8 && b[0]>>5 == 1 && b[1] > 0 && b[1] < 60 && be16(b[2:]) == len(b)-4
}

// bittorrent knows the DHT's queries and answers, a tracker's connect, and uTP's
// opening (BEP 5, 15, 29).
func bittorrent(_ *dissector.Context, b []byte) bool {
	switch {
	case len(b) >= 16 && b[0] == 'd' && b[len(b)-1] == 'e':
		return bytes.HasPrefix(b, []byte("d1:ad2:id20:")) || bytes.HasPrefix(b, []byte("d1:rd2:id20:")) || bytes.HasPrefix(b, []byte("d2:ip6:")) && bytes.Contains(b, []byte("1:y1:"))
	case len(b) == 16:
		return be32(b) == 0x417 && be32(b[4:]) == 0x27101980 && be32(b[8:]) == 0
	case bytes.HasPrefix(b, []byte("BT-SEARCH * HTTP/1.")): // BEP 14
		return true
	}
	return len(b) >= 20 && len(b) <= 30 && b[0] == 0x41 && b[1] <= 2 && be32(b[8:]) == 0 && be16(b[18:]) == 0 && be32(b[4:]) != 0
}
