package label

import (
	"bytes"
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// control are those of industrial control, vehicles and small devices.
var control = []*dissector.Protocol{
	atHome(udp("coap", func(_ *dissector.Context, b []byte) bool { return coap(b) }, 5683, 5684)),
	tcp("ads", whole("\x00", 38, ads), 48898),
	{
		Name: "fins", Ports: []uint16{9600}, Datagram: udp("fins", finsUDP).Datagram,
		Recognise: func(b []byte, _ bool) dissector.Verdict { return begins("FINS\x00\x00")(b) }, NewStream: func() dissector.Stream { return quiet{} },
	},
	atHome(both("c1222", whole("\x60", 6, c1222), func(_ *dissector.Context, b []byte) bool { return len(b) > 6 && c1222(b) }, 1153)),
	atHome(udp("cnp_ip", func(_ *dissector.Context, b []byte) bool { // EIA-852 4: length of all, version 1, kind, size of more header
		return len(b) >= 20 && be16(b) == len(b) && b[2] == 1 && b[3] > 0 && b[4] <= 32
	}, 1628, 1629)),
	udp("ether_s_bus", sbus, 5050),
	both("synchrophasor", phasors, func(_ *dissector.Context, b []byte) bool {
		return len(b) >= 16 && b[0] == 0xaa && be16(b[2:]) == len(b) && phasor(b)
	}, 4712, 4713),
	atHome(both("roc_plus", roc, func(_ *dissector.Context, b []byte) bool { return roc(b) == dissector.Yes }, 4000)),
	udp("someip", func(_ *dissector.Context, b []byte) bool { // AUTOSAR, SOME/IP protocol 4.1: length from its own end on, version 1, kind, return code
		return len(b) >= 16 && be32(b[4:]) == len(b)-8 && b[12] == 1 && b[15] <= 0x20 && someKinds[b[14]]
	}, 30490),
	udp("trdp", func(_ *dissector.Context, b []byte) bool { return trdp(b) == dissector.Yes }, 17224, 17225),
	atHome(tcp("trdp", trdp, 17225)),
	udp("wol", wake, 9, 7),
}

// trdp knows a header: number, version 1 or 2, kind in two letters (IEC 61375-2-3 A.6).
func trdp(b []byte) dissector.Verdict {
	if len(b) < 40 {
		return dissector.More
	}
	return yes((b[4] == 1 || b[4] == 2) && b[5] <= 1 && (b[6] == 'P' && bytes.IndexByte([]byte("dpre"), b[7]) >= 0 || b[6] == 'M' && bytes.IndexByte([]byte("nrpqce"), b[7]) >= 0))
}

var someKinds = [256]bool{0: true, 1: true, 2: true, 0x20: true, 0x21: true, 0x22: true, 0x80: true, 0x81: true, 0xa0: true, 0xa1: true}

// coap knows a message of version 1: its options, walked to the payload's mark or to
// the end (RFC 7252 3).
func coap(b []byte) bool {
	if len(b) < 4 || b[0]>>6 != 1 || b[0]&15 > 8 {
		return false
	}
	class, detail := b[1]>>5, b[1]&31
	if class != 0 && class != 2 && class != 4 && class != 5 || class == 0 && detail > 7 {
		return false
	}
	if b[1] == 0 { // empty: an acknowledgement, or a reset
		return len(b) == 4 && b[0] == 0x40|b[0]&0x30
	}
	i := 4 + int(b[0]&15)
	for i < len(b) && b[i] != 0xff {
		delta, n := int(b[i]>>4), int(b[i]&15)
		i++
		for _, x := range [...]*int{&delta, &n} {
			switch *x {
			case 13:
				if i >= len(b) {
					return false
				}
				*x = 13 + int(b[i])
				i++
			case 14:
				if i+1 >= len(b) {
					return false
				}
				*x = 269 + be16(b[i:])
				i += 2
			case 15:
				return false
			}
		}
		i += n
	}
	return i <= len(b) && i+1 != len(b)
}

// ads knows an AMS/TCP header: zeros, length; then two addresses, a command, flags
// with bit 2 set, and the length of its data (Beckhoff, ADS/AMS specification).
func ads(b []byte) bool {
	n := le32(b[2:])
	return be16(b) == 0 && n >= 32 && n < 1<<20 && le16(b[22:]) <= 9 && le16(b[24:])&^0x01 == 4 && le32(b[26:]) == n-32
}

// finsUDP knows a header: information, zero, gateway count, then a command that
// exists (Omron, FINS commands reference manual W227).
func finsUDP(c *dissector.Context, b []byte) bool {
	if len(b) < 12 || b[0]&0x3e != 0 || b[0]&0x80 == 0 || b[1] != 0 || b[2] > 7 || !on(c, 9600) && b[2] != 2 {
		return false
	}
	switch b[10] {
	case 1, 2, 3, 4, 5, 6, 7, 8, 0x0c, 0x21, 0x22, 0x23, 0x26:
		return on(c, 9600) && b[11] <= 0x50
	}
	return false
}

// c1222 knows the ACSE element that ANSI C12.22 rides in: application 0, a length
// that fits, then one of its elements.
func c1222(b []byte) bool {
	n, at := int(b[1]), 2
	switch {
	case n == 0x81:
		n, at = int(b[2]), 3
	case n == 0x82:
		n, at = be16(b[2:]), 4
	case n > 0x82:
		return false
	}
	return b[0] == 0x60 && n >= 8 && at+n <= max(len(b), dissector.MaxPrefix) && (b[at] == 0xa2 || b[at] == 0xa4 || b[at] == 0xa6 || b[at] == 0xa8)
}

// ccitt is the CRC-16 of polynomial 0x1021.
func ccitt(crc uint16, b []byte) uint16 {
	for _, x := range b {
		crc ^= uint16(x) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// sbus knows Saia's S-Bus: length of all, version, kind, number, attribute of a
// telegram, and the checksum at its end.
func sbus(_ *dissector.Context, b []byte) bool {
	n := len(b) - 2
	return len(b) >= 11 && be32(b) == len(b) && b[4] <= 1 && b[5] <= 1 && b[8] <= 2 && int(ccitt(0, b[:n])) == be16(b[n:])
}

// phasors wants a whole frame, or, of one that is longer than what is seen of a
// stream, its header.
func phasors(b []byte) dissector.Verdict {
	if len(b) > 0 && b[0] != 0xaa || len(b) > 1 && (b[1]&0x8f > 3 || b[1]>>4 > 5) {
		return dissector.No
	}
	if len(b) < 16 {
		return dissector.More
	}
	switch n := be16(b[2:]); {
	case n < 16 || be16(b[4:]) == 0:
		return dissector.No
	case n <= len(b):
		return yes(phasor(b[:n]))
	case len(b) < dissector.MaxPrefix:
		return dissector.More
	}
	return dissector.Yes
}

// phasor checks the sum of a frame of IEEE C37.118.2 (6.2).
func phasor(b []byte) bool {
	n := len(b) - 2
	return b[1]&0x8f <= 3 && b[1]&0x80 == 0 && b[1]>>4 <= 5 && int(ccitt(0xffff, b[:n])) == be16(b[n:])
}

// roc knows a message of ROC Plus: two addresses of two bytes, opcode, length, data,
// CRC-16 (Emerson, ROC Plus protocol).
func roc(b []byte) dissector.Verdict {
	if len(b) < 8 {
		return dissector.More
	}
	n := 8 + int(b[5])
	if len(b) < n {
		return dissector.More
	}
	crc := uint16(0xffff)
	for _, x := range b[:n-2] {
		crc ^= uint16(x)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xa001
			} else {
				crc >>= 1
			}
		}
	}
	return yes(binary.LittleEndian.Uint16(b[n-2:]) == crc)
}

// wake knows a magic packet: six times 0xff, sixteen times a MAC, a password perhaps.
func wake(_ *dissector.Context, b []byte) bool {
	if len(b) != 102 && len(b) != 106 && len(b) != 108 {
		return false
	}
	for i := range 6 {
		if b[i] != 0xff {
			return false
		}
	}
	for i := 12; i < 102; i++ {
		if b[i] != b[i-6] {
			return false
		}
	}
	return true
}
