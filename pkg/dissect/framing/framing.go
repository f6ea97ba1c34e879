// Package framing takes a TCP connection apart into messages, for protocols whose
// messages say how long they are.
//
// It knows no protocol: a Format says how long a message is that begins with
// given bytes. How the connection was cut into segments makes no difference.
package framing

import (
	"slices"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Format is how a protocol's messages are framed.
type Format struct {
	// Keep is the most bytes of a message that are given; the rest is stepped over.
	Keep int
	// Length is the size of the message that b begins with, 0 while that cannot be
	// said, and negative where b begins none. After a loss (of bytes of the capture,
	// or of the messages' borders) it may be stricter.
	Length func(b []byte, lost bool) int
	// Recognise says how messages are found again after a loss: nil where each byte may
	// begin one, otherwise only the beginning of a piece may, one that this says Yes to.
	// Then bytes that begin no message end the direction: it is Broken.
	Recognise func(piece []byte, midstream bool) dissector.Verdict
	// Odd is the name under which it is counted that bytes begin no message.
	Odd string
}

// Judge says whether b begins with a message, as far as its length can tell, and how
// long that is.
func Judge(b []byte, length func(b []byte, lost bool) int) (size int, v dissector.Verdict) {
	if len(b) == 0 {
		return 0, dissector.More
	}
	switch size = length(b, false); {
	case size < 0:
		return size, dissector.No
	case size == 0:
		return size, dissector.More
	}
	return size, dissector.Yes
}

// Reader is one direction. The zero Reader is ready.
type Reader struct {
	in     []byte // what Feed gave and is not taken yet
	buf    []byte // of the message in hand, where it began in an earlier piece
	used   int    // bytes of buf that Next has given away
	size   int    // of the message that buf begins with, 0 while it is not known
	skip   int    // bytes of the message before that are not kept
	lost   bool
	broken bool
	missed int
}

// Feed gives the next bytes, which stay the caller's: Next must be called until
// it has no more.
func (r *Reader) Feed(b []byte) { r.in = b }

// Next gives the next message, at most f.Keep bytes of it. The bytes are good until
// the next call.
func (r *Reader) Next(c *dissector.Context, f *Format) (m []byte, ok bool) {
	lost := r.lost
	m, ok = r.next(f)
	if r.lost && !lost && f.Odd != "" {
		c.Count(f.Odd)
	}
	return m, ok
}

func (r *Reader) next(f *Format) (m []byte, ok bool) {
	if !r.step() || !r.found(f) {
		return nil, false
	}
	for {
		if len(r.buf) > 0 {
			m, ok, done := r.kept(f)
			if done {
				return m, ok
			}
			continue
		}
		if len(r.in) == 0 {
			return nil, false
		}
		n := f.Length(r.in, r.lost)
		switch k := min(n, f.Keep); {
		case n < 0, n == 0 && len(r.in) >= f.Keep:
			r.in = r.in[1:]
			r.odd(f)
		case n == 0, k > len(r.in):
			r.buf, r.in, r.size = append(r.buf, r.in...), nil, n
			return nil, false
		default:
			m, r.in = r.in[:k], r.in[k:]
			r.skip, r.lost = n-k, false
			return m, true
		}
	}
}

// step drops what was given away, and what is not kept; false says that this
// takes more bytes.
func (r *Reader) step() bool {
	if r.used > 0 {
		r.buf = r.buf[:copy(r.buf, r.buf[r.used:])]
		r.used = 0
	}
	if r.skip > 0 {
		k := min(r.skip, len(r.buf))
		r.buf = r.buf[:copy(r.buf, r.buf[k:])]
		r.skip -= k
		k = min(r.skip, len(r.in))
		r.in, r.skip = r.in[k:], r.skip-k
	}
	return r.skip == 0
}

// found looks, where only the beginning of a piece can begin a message after a
// loss, whether this one does; otherwise it is dropped.
func (r *Reader) found(f *Format) bool {
	if f.Recognise == nil || !r.lost {
		return true
	}
	if !r.broken && len(r.in) > 0 && f.Recognise(r.in[:min(len(r.in), dissector.MaxPrefix)], true) == dissector.Yes {
		r.lost = false
		return true
	}
	r.missed += len(r.in)
	r.in = nil
	return false
}

// odd notes that bytes begin no message.
func (r *Reader) odd(f *Format) {
	if r.lost = true; f.Recognise != nil {
		r.broken = true
		r.in, r.buf = nil, r.buf[:0]
	}
}

// kept goes on with a message that began in an earlier piece; done says that
// Next is over.
func (r *Reader) kept(f *Format) (m []byte, ok, done bool) {
	n := f.Length(r.buf, r.lost)
	r.size = max(n, 0)
	k := min(n, f.Keep)
	switch {
	case n < 0, n == 0 && len(r.buf) >= f.Keep:
		r.buf = r.buf[:copy(r.buf, r.buf[1:])]
		r.odd(f)
		return nil, false, false
	case n > 0 && len(r.buf) >= k:
		r.used, r.skip, r.lost = k, n-k, false
		return r.buf[:k], true, true
	case len(r.in) == 0:
		return nil, false, true
	}
	take := 1 // of a header: nobody knows yet how long it is
	if n > 0 {
		take = min(k-len(r.buf), len(r.in))
	}
	r.buf, r.in = append(r.buf, r.in[:take]...), r.in[take:]
	return nil, false, false
}

// Rest gives all that Next has not given yet, as it came, and forgets it: from here
// on the connection is not made of these messages any more.
func (r *Reader) Rest() []byte {
	r.step()
	b := r.in
	if len(r.buf) > 0 {
		b = slices.Concat(r.buf, b)
	}
	*r = Reader{}
	return b
}

// Each calls message with what b adds, at most f.Keep bytes of each message, until
// it says that nothing more is wanted.
func (r *Reader) Each(c *dissector.Context, f *Format, b []byte, message func(m []byte) (over bool)) {
	r.Feed(b)
	for {
		if m, ok := r.Next(c, f); !ok || message(m) {
			return
		}
	}
}

// Ahead is what Feed gave and is not taken, where a message should begin with it;
// within a message it is empty. What Next gave is no longer good.
func (r *Reader) Ahead() []byte {
	if !r.step() || len(r.buf) > 0 {
		return nil
	}
	return r.in
}

// Gap steps over n missing bytes, -1 for an unknown number. A message that is not
// whole is not given; if the bytes are all its own, it is known where the next
// begins.
func (r *Reader) Gap(n int64) {
	left := 0
	if r.step(); r.skip > 0 {
		left = r.skip
	} else if len(r.buf) > 0 {
		left = r.size - len(r.buf)
	}
	fresh := Reader{buf: r.buf[:0], missed: r.missed}
	if n > 0 && n <= int64(left) {
		fresh.skip = left - int(n)
	} else {
		fresh.lost = true
	}
	*r = fresh
}

// Lost reports whether the borders of messages are unknown.
func (r *Reader) Lost() bool { return r.lost }

// Broken reports that bytes began no message, and none is looked for any more.
func (r *Reader) Broken() bool { return r.broken }

// Missed is how many bytes were dropped, of a Format with Recognise, because the
// borders of messages were unknown.
func (r *Reader) Missed() int { return r.missed }

// Size is the bytes that are kept.
func (r *Reader) Size() int { return cap(r.buf) }

// Both is a connection: what most of a dissector.Stream is, to be embedded.
type Both struct {
	half  [2]Reader
	ended [2]bool
}

// Half is the direction in hand.
func (s *Both) Half(c *dissector.Context) *Reader { return &s.half[c.Side&1] }

// Gap steps over missing bytes.
func (s *Both) Gap(c *dissector.Context, n int64) { s.Half(c).Gap(n) }

// End notes that a direction is over.
func (s *Both) End(c *dissector.Context) { s.ended[c.Side&1] = true }

// Ended reports whether both directions are over.
func (s *Both) Ended() bool { return s.ended[0] && s.ended[1] }

// Missed is that of both directions.
func (s *Both) Missed() int { return s.half[0].missed + s.half[1].missed }

// Size is about the bytes that are kept.
func (s *Both) Size() int { return 256 + s.half[0].Size() + s.half[1].Size() }
