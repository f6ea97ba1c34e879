// Package framing takes one direction of a TCP connection apart into messages,
// for protocols whose messages say how long they are.
//
// It knows no protocol: a Format says how long a message is that begins with
// given bytes. How the connection was cut into segments makes no difference.
// Where bytes begin no message, it steps on byte by byte until some do.
package framing

import "slices"

// Format is how a protocol's messages are framed.
type Format struct {
	// Keep is the most bytes of a message that are given; the rest is stepped over.
	Keep int
	// Length is the size of the message that b begins with, 0 while that cannot be
	// said, and negative where b begins none. After a loss (of bytes of the capture,
	// or of the messages' borders) it may be stricter.
	Length func(b []byte, lost bool) int
}

// Reader is one direction. The zero Reader is ready.
type Reader struct {
	in   []byte // what Feed gave and is not taken yet
	buf  []byte // of the message in hand, where it began in an earlier piece
	used int    // bytes of buf that Next has given away
	skip int    // bytes of the message before that are not kept
	lost bool
}

// Feed gives the next bytes, which stay the caller's: Next must be called until
// it has no more.
func (r *Reader) Feed(b []byte) { r.in = b }

// Next gives the next message, at most f.Keep bytes of it, and its size. The bytes
// are good until the next call.
func (r *Reader) Next(f *Format) (m []byte, size int, ok bool) {
	if r.used > 0 {
		r.buf = r.buf[:copy(r.buf, r.buf[r.used:])]
		r.used = 0
	}
	for {
		if r.skip > 0 {
			k := min(r.skip, len(r.buf))
			r.buf = r.buf[:copy(r.buf, r.buf[k:])]
			r.skip -= k
			k = min(r.skip, len(r.in))
			r.in, r.skip = r.in[k:], r.skip-k
			if r.skip > 0 {
				return nil, 0, false
			}
		}
		if len(r.buf) > 0 {
			m, size, ok, done := r.kept(f)
			if done {
				return m, size, ok
			}
			continue
		}
		if len(r.in) == 0 {
			return nil, 0, false
		}
		n := f.Length(r.in, r.lost)
		switch k := min(n, f.Keep); {
		case n < 0, n == 0 && len(r.in) >= f.Keep:
			r.in, r.lost = r.in[1:], true
		case n == 0, k > len(r.in):
			r.buf, r.in = append(r.buf, r.in...), nil
			return nil, 0, false
		default:
			m, r.in = r.in[:k], r.in[k:]
			r.skip, r.lost = n-k, false
			return m, n, true
		}
	}
}

// kept goes on with a message that began in an earlier piece; done says that
// Next is over.
func (r *Reader) kept(f *Format) (m []byte, size int, ok, done bool) {
	n := f.Length(r.buf, r.lost)
	k := min(n, f.Keep)
	switch {
	case n < 0, n == 0 && len(r.buf) >= f.Keep:
		r.buf, r.lost = r.buf[:copy(r.buf, r.buf[1:])], true
		return nil, 0, false, false
	case n > 0 && len(r.buf) >= k:
		r.used, r.skip, r.lost = k, n-k, false
		return r.buf[:k], n, true, true
	case len(r.in) == 0:
		return nil, 0, false, true
	}
	take := 1 // of a header: nobody knows yet how long it is
	if n > 0 {
		take = min(k-len(r.buf), len(r.in))
	}
	r.buf, r.in = append(r.buf, r.in[:take]...), r.in[take:]
	return nil, 0, false, false
}

// Rest gives all that Next has not given yet, as it came, and forgets it: from here
// on the connection is not made of these messages any more.
func (r *Reader) Rest() []byte {
	b := r.in
	if len(r.buf) > r.used {
		b = slices.Concat(r.buf[r.used:], b)
	}
	b = b[min(r.skip, len(b)):]
	*r = Reader{}
	return b
}

// Gap forgets what was begun: bytes are missing.
func (r *Reader) Gap() { *r = Reader{buf: r.buf[:0], lost: true} }

// Lost reports whether the borders of messages are unknown.
func (r *Reader) Lost() bool { return r.lost }

// Size is the bytes that are kept.
func (r *Reader) Size() int { return cap(r.buf) }
