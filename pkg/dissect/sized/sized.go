// Package sized puts the messages of one direction of a TCP connection together,
// for protocols whose messages say how long they are: Kerberos, LDAP, RDP, DCE/RPC,
// MQTT and others.
//
// A message that lies whole in one segment is given where it is; others are kept,
// up to a limit, and of longer ones the beginning is given. What a message means is
// the protocol's own.
package sized

// Reader puts the messages of one direction together.
type Reader struct {
	buf   []byte
	left  int64 // bytes of the message in hand that are still to come
	given bool  // buf was given away
	cut   bool  // bytes of the message in hand are missing
	Lost  bool  // where the next message begins is not known
	Bad   bool  // ... because what came was none: nothing will be one
}

// Status is what Next found.
type Status uint8

// What Next finds.
const (
	More    Status = iota // b ends before the message does
	Message               // a message
	Bad                   // what is no message
)

// maxHeader is the most bytes that it may take to know a message's length.
const maxHeader = 64

// Size tells how long the message is that begins with b, 0 when that takes more
// bytes, and less than 0 when it is none.
type Size func(b []byte) int64

// Next gives the next message and what follows it. At most limit bytes of a message
// are kept; whole is false where it is longer, or where bytes of it are missing. It
// is good until the next call.
func (r *Reader) Next(b []byte, limit int, size Size) (m, rest []byte, whole bool, s Status) {
	if r.given {
		r.buf, r.given = r.buf[:0], false
	}
	if r.left == 0 && len(r.buf) == 0 {
		n := size(b)
		switch {
		case len(b) == 0:
			return nil, nil, false, More
		case n < 0, n == 0 && len(b) > maxHeader:
			r.Lost, r.Bad = true, true
			return nil, b, false, Bad
		case n == 0:
			r.buf = append(r.buf, b...)
			return nil, nil, false, More
		case n <= int64(len(b)) && n <= int64(limit):
			return b[:n], b[n:], true, Message
		}
		r.left = n
	}
	for r.left == 0 { // the header was cut
		if len(b) == 0 {
			return nil, nil, false, More
		}
		r.buf = append(r.buf, b[0])
		b = b[1:]
		switch n := size(r.buf); {
		case n < 0, n == 0 && len(r.buf) > maxHeader:
			r.buf, r.Lost, r.Bad = r.buf[:0], true, true
			return nil, b, false, Bad
		case n > 0 && n <= int64(len(r.buf)):
			r.given = true
			return r.buf[:n], b, true, Message
		case n > 0:
			r.left = n - int64(len(r.buf))
		}
	}
	k := int(min(r.left, int64(len(b))))
	if r.cut && len(r.buf) == 0 { // its beginning is missing
		if r.left -= int64(k); r.left == 0 {
			r.cut = false
			return r.Next(b[k:], limit, size)
		}
		return nil, nil, false, More
	}
	if room := limit - len(r.buf); room >= k {
		r.buf = append(r.buf, b[:k]...)
	} else {
		r.buf = append(r.buf, b[:max(room, 0)]...)
		r.cut = true
	}
	if r.left -= int64(k); r.left > 0 {
		return nil, nil, false, More
	}
	whole = !r.cut
	r.given, r.cut = true, false
	return r.buf, b[k:], whole, Message
}

// Gap steps over n missing bytes, -1 for an unknown number. The message in hand is
// not given then, or not whole.
func (r *Reader) Gap(n int64) {
	switch {
	case n > 0 && n < r.left:
		*r = Reader{left: r.left - n, cut: true}
	case n > 0 && n == r.left:
		*r = Reader{}
	default:
		*r = Reader{Lost: true}
	}
}

// Fresh holds where the next byte begins a message.
func (r *Reader) Fresh() bool { return r.left == 0 && (len(r.buf) == 0 || r.given) && !r.Lost }

// Size is the bytes that are kept.
func (r *Reader) Size() int { return cap(r.buf) }
