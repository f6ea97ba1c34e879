package quic

import "slices"

// Frames of an Initial packet (RFC 9000 12.4).
const (
	framePadding  = 0x00
	framePing     = 0x01
	frameAck      = 0x02
	frameAckECN   = 0x03
	frameCrypto   = 0x06
	frameClose    = 0x1c
	frameCloseApp = 0x1d

	googlePing   = 0x07 // of Chromium's own framing
	googleCrypto = 0x08
)

const (
	maxHello     = 16 << 10 // bytes of a direction's handshake that are put together
	maxRanges    = 64       // pieces of it that lie apart
	maxAckRanges = 256
)

// frames takes the payload of an Initial packet apart and gives the pieces of the
// handshake; false for a frame that does not belong there.
func frames(b []byte, google bool, piece func(offset int, data []byte)) bool {
	r := reader{b: b}
	for r.at < len(b) && !r.bad {
		kind := r.varint()
		if google {
			switch kind {
			case framePadding:
			case googlePing:
				kind = framePing
			case googleCrypto:
				kind = frameCrypto
			default: // acknowledgements and the like, which have no length
				return true
			}
		}
		switch kind {
		case framePadding, framePing:
		case frameAck:
			r.ack()
		case frameAckECN:
			r.ack()
			r.varint()
			r.varint()
			r.varint()
		case frameCrypto:
			offset := r.varint()
			if data := r.take(r.varint()); !r.bad {
				piece(offset, data)
			}
		case frameClose:
			r.varint()
			r.varint()
			r.take(r.varint())
		case frameCloseApp:
			r.varint()
			r.take(r.varint())
		default:
			return false
		}
	}
	return !r.bad
}

func (r *reader) ack() {
	r.varint()
	r.varint()
	n := r.varint()
	r.varint()
	for range min(n, maxAckRanges) {
		r.varint()
		r.varint()
	}
	r.bad = r.bad || n > maxAckRanges
}

// assembly puts the handshake of one direction together, whose pieces come in any
// order and more than once.
type assembly struct {
	buf    []byte
	ranges [][2]int // that are there, in order, apart from each other
}

// add takes a piece.
func (a *assembly) add(offset int, data []byte) bool {
	end := offset + len(data)
	if offset < 0 || end > maxHello || len(data) == 0 {
		return end <= maxHello && offset >= 0
	}
	if end > len(a.buf) {
		a.buf = slices.Grow(a.buf, end-len(a.buf))[:end]
	}
	copy(a.buf[offset:], data)
	at := 0
	for at < len(a.ranges) && a.ranges[at][1] < offset {
		at++
	}
	last := at
	for last < len(a.ranges) && a.ranges[last][0] <= end {
		offset, end = min(offset, a.ranges[last][0]), max(end, a.ranges[last][1])
		last++
	}
	if at == last && len(a.ranges) == maxRanges {
		return false
	}
	a.ranges = slices.Replace(a.ranges, at, last, [2]int{offset, end})
	return true
}

// whole is what is there without a hole, from the beginning.
func (a *assembly) whole() []byte {
	if len(a.ranges) == 0 || a.ranges[0][0] > 0 {
		return nil
	}
	return a.buf[:a.ranges[0][1]]
}

func (a *assembly) size() int { return cap(a.buf) + 16*cap(a.ranges) }
