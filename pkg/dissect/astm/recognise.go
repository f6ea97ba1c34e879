package astm

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is ASTM E1381 and E1394. Ports are set by each site.
var Protocol = dissector.Protocol{
	Name: "astm", Recognise: recognise,
	NewStream: func() dissector.Stream { return newStream() },
}

// The control characters of E1381.
const (
	stx = 0x02
	etx = 0x03
	eot = 0x04
	enq = 0x05
	ack = 0x06
	lf  = 0x0a
	sb  = 0x0b // of MLLP, which some put around
	cr  = 0x0d
	nak = 0x15
	etb = 0x17
	eb  = 0x1c
)

const (
	maxQuiet  = 64  // control characters before the first frame
	maxFramed = 320 // bytes in which a frame has to end, E1381 has 247
)

// recognise wants a header record, in a frame or bare, or else a whole frame whose
// checksum is right. Who only acknowledges is known by the other side.
func recognise(b []byte, midstream bool) dissector.Verdict {
	if midstream {
		if i := bytes.IndexByte(b, stx); i > 0 {
			b = b[i:]
		}
	}
	n := 0
	for n < len(b) && quiet(b[n]) {
		n++
	}
	switch {
	case n == len(b) && n < maxQuiet:
		return dissector.More
	case n >= maxQuiet:
		return dissector.No
	}
	b = b[n:]
	if b[0] != stx {
		return header(b, '|')
	}
	switch {
	case len(b) < 3:
		return dissector.More
	case b[1] < '0' || b[1] > '7':
		return dissector.No
	case b[2] == 'H':
		return header(b[2:], 0)
	}
	return frame(b)
}

func quiet(x byte) bool {
	return x == enq || x == ack || x == nak || x == eot || x == cr || x == lf || x == sb
}

// header judges the beginning of a header record: H, the field delimiter and three
// others (E1394 6.2), then a field delimiter or the end. sep is the only field
// delimiter that is believed, 0 for any.
func header(b []byte, sep byte) dissector.Verdict {
	if b[0] != 'H' {
		return dissector.No
	}
	for i := 1; i < min(len(b), 5); i++ {
		x := b[i]
		if x <= ' ' || x >= 0x7f || letter(x) || bytes.IndexByte(b[1:i], x) >= 0 || i == 1 && sep != 0 && x != sep {
			return dissector.No
		}
	}
	switch {
	case len(b) < 6:
		return dissector.More
	case b[5] == b[1] || b[5] == cr:
		return dissector.Yes
	}
	return dissector.No
}

func letter(x byte) bool {
	return x >= 'a' && x <= 'z' || x >= 'A' && x <= 'Z' || x >= '0' && x <= '9'
}

// frame judges a frame with another record: its checksum has to be right.
func frame(b []byte) dissector.Verdict {
	if bytes.IndexByte([]byte("PORCQMSL"), b[2]) < 0 || len(b) > 3 && (letter(b[3]) || b[3] <= ' ') {
		return dissector.No
	}
	sum := byte(0)
	for i, x := range b[1:] {
		sum += x
		switch {
		case i > maxFramed:
			return dissector.No
		case x == etx || x == etb:
			if len(b) < i+4 {
				return dissector.More
			}
			if checksum(sum) == [2]byte(b[i+2:i+4]) {
				return dissector.Yes
			}
			return dissector.No
		}
	}
	return dissector.More
}

// checksum is how the sum of a frame is written.
func checksum(sum byte) [2]byte {
	const digits = "0123456789ABCDEF"
	return [2]byte{digits[sum>>4], digits[sum&15]}
}
