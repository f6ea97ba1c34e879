package tls

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is TLS over TCP.
var Protocol = dissector.Protocol{
	Name: "tls", Ports: []uint16{443, 465, 636, 853, 993, 995, 2762, 8443, 8883},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// Upgraded makes the dissector of a connection that another protocol turned into
// TLS (STARTTLS): it tells of both hellos and of the certificate, and that there
// is TLS inside.
func Upgraded() dissector.Stream { return &stream{upgraded: true} }

// Types of records (RFC 8446 5.1) and of handshake messages (RFC 8446 4, RFC 5246 7.4).
const (
	changeCipherSpec = 20
	alert            = 21
	handshake        = 22
	applicationData  = 23

	clientHello       = 1
	serverHello       = 2
	certificate       = 11
	serverHelloDone   = 14
	clientKeyExchange = 16
	finished          = 20
)

const (
	recordHeader  = 5
	messageHeader = 4
	maxRecord     = 1<<14 + 2048 // RFC 5246 6.2.3
	maxAlert      = 64           // two bytes with tag, padding and initialisation vector
	maxKept       = 32 << 10     // bytes of one message that are kept: a hello, or the first certificate of a chain
	maxSilent     = 64 << 10     // bytes of a finished side after which the other one is not waited for
)

// recognise wants the header of a record that begins with a hello, or midstream
// also one of application data, which is what a long connection consists of, or
// an encrypted alert, which is how it ends.
//
//	type (1) | version (2): 3.0 to 3.4 | length (2) | type of the message (1) | its length (3)
func recognise(b []byte, midstream bool) dissector.Verdict {
	if len(b) > 0 && b[0]&0x80 != 0 {
		return recogniseV2(b)
	}
	for i, x := range b[:min(len(b), 3)] {
		switch {
		case i == 0 && x != handshake && (x != applicationData && x != alert || !midstream),
			i == 1 && x != 3,
			i == 2 && x > 4:
			return dissector.No
		}
	}
	if len(b) < recordHeader {
		return dissector.More
	}
	size := int(binary.BigEndian.Uint16(b[3:]))
	switch {
	case b[0] == applicationData && b[2] != 0 && b[2] != 4 && size >= 16 && size <= maxRecord, // no cipher makes a record shorter than its tag
		b[0] == alert && size >= 18 && size <= maxAlert && len(b) == recordHeader+size:
		return dissector.Yes
	case b[0] != handshake:
		return dissector.No
	case size == 0 || size > maxRecord:
		return dissector.No
	case len(b) == recordHeader:
		return dissector.More
	case b[5] != clientHello && b[5] != serverHello:
		return dissector.No
	case size == 1: // the rest of the message's header is in the next record
		return dissector.Yes
	case len(b) == recordHeader+1:
		return dissector.More
	case b[6] != 0: // no hello has 64 KiB
		return dissector.No
	}
	return dissector.Yes
}

// recogniseV2 knows the hello of SSL 2.0, in which clients of the nineties offer
// SSL 3.0 and TLS 1.0 too (RFC 5246 E.2):
//
//	0x80 | length (2, with that bit) | 1 | version (2) | lengths of ciphers, session, challenge (2 each) | ...
func recogniseV2(b []byte) dissector.Verdict {
	if len(b) > 2 && b[2] != clientHello || len(b) > 3 && b[3] != 3 && b[3] != 0 {
		return dissector.No
	}
	if len(b) < 11 {
		return dissector.More
	}
	if b[3] == 0 && b[4] != ssl2 || b[3] == 3 && b[4] > 3 {
		return dissector.No
	}
	size := int(binary.BigEndian.Uint16(b) & 0x7fff)
	ciphers, session, challenge := int(binary.BigEndian.Uint16(b[5:])), int(binary.BigEndian.Uint16(b[7:])), int(binary.BigEndian.Uint16(b[9:]))
	if ciphers == 0 || ciphers%3 != 0 || session != 0 && session != 16 || challenge < 16 || challenge > 32 || size != 9+ciphers+session+challenge {
		return dissector.No
	}
	return dissector.Yes
}

// stream follows both directions until each has said what is in clear.
type stream struct {
	half     [2]half
	upgraded bool
}

// half is one direction. A message that lies whole in one record of one segment
// is read where it is; else it is put together in msg.
type half struct {
	head  [recordHeader]byte // of the record in hand
	headN int
	left  int  // bytes of the record to come
	begun bool // a record was read

	msg  []byte // of the message in hand, its header included, at most maxKept
	seen int    // bytes of it that went by, kept or not

	hello, served bool // a client's hello, a server's was seen
	retried       bool // a server's request for another hello
	lost          bool
	over          bool // nothing in clear follows
	after         int  // bytes since then
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	if h.lost && recognise(b[:min(len(b), dissector.MaxPrefix)], true) != dissector.No {
		h.lost = false
	}
	if !h.begun && !h.over && !h.lost && len(b) > 0 && h.headN == 0 && b[0]&0x80 != 0 {
		// Only the engine's recognition got us here, or a client of the nineties.
		c.Count("tls_sslv2_hello")
		h.over = true
	}
	for len(b) > 0 && !h.over && !h.lost {
		b = s.record(c, h, b)
	}
	if h.over || h.lost {
		h.after += len(b)
		h.msg = nil
	}
	if other := &s.half[1-c.Side&1]; h.over && (other.over || h.after > maxSilent) || h.lost && h.after > maxSilent {
		c.Sink.Done()
	}
}

// record takes the header of a record, or bytes of its content.
func (s *stream) record(c *dissector.Context, h *half, b []byte) []byte {
	if h.left == 0 {
		n := copy(h.head[h.headN:], b)
		if h.headN += n; h.headN < recordHeader {
			return nil
		}
		h.headN = 0
		h.enter(c)
		return b[n:]
	}
	n := min(h.left, len(b))
	h.left -= n
	if h.head[0] == handshake {
		s.content(c, h, b[:n])
	}
	return b[n:]
}

// enter judges the header of a record.
func (h *half) enter(c *dissector.Context) {
	h.left = int(binary.BigEndian.Uint16(h.head[3:]))
	switch kind := h.head[0]; {
	case kind < changeCipherSpec || kind > applicationData, h.head[1] != 3, h.left > maxRecord:
		c.Count("tls_not_a_record")
		h.over = true
	case kind == changeCipherSpec && h.retried && !h.served:
		// Between a HelloRetryRequest and the hello stands one that means nothing (RFC 8446 D.4).
	case kind == changeCipherSpec, kind == applicationData:
		h.over = true // what follows is encrypted
	}
	h.begun = true
}

// content takes bytes of handshake messages, which may share a record or go over
// several.
func (s *stream) content(c *dissector.Context, h *half, b []byte) {
	for len(b) > 0 && !h.over {
		if h.seen == 0 && len(b) >= messageHeader {
			if size := messageHeader + length(b); size <= len(b) {
				s.message(c, h, b[:size], true)
				b = b[size:]
				continue
			}
		}
		b = s.gather(c, h, b)
	}
}

// length is that of the message at b, without its header.
func length(b []byte) int { return int(b[1])<<16 | int(b[2])<<8 | int(b[3]) }

// gather adds to the message in hand what b has of it.
func (s *stream) gather(c *dissector.Context, h *half, b []byte) []byte {
	want := messageHeader
	if h.seen >= messageHeader {
		want += length(h.msg)
	}
	n := min(want-h.seen, len(b))
	if room := maxKept - len(h.msg); room > 0 {
		h.msg = append(h.msg, b[:min(n, room)]...)
	}
	h.seen += n
	if h.seen == messageHeader {
		want += length(h.msg)
	}
	if h.seen < want || h.seen < messageHeader {
		return b[n:]
	}
	whole := h.seen == len(h.msg)
	m := h.msg
	h.msg, h.seen = h.msg[:0], 0
	s.message(c, h, m, whole)
	return b[n:]
}

// message acts on a handshake message; not whole, it was too long to be kept.
func (s *stream) message(c *dissector.Context, h *half, m []byte, whole bool) {
	body := m[messageHeader:]
	switch kind := m[0]; kind {
	case clientHello, serverHello:
		if !whole {
			c.Count("tls_hello_long")
			h.over = true
			return
		}
		if kind == clientHello {
			s.client(c, h, body)
		} else {
			s.server(c, h, body)
		}
	case certificate:
		if h.hello {
			c.Count("tls_client_certificate") // a person's, for all we know
			return
		}
		s.chain(c, body)
	case serverHelloDone, clientKeyExchange, finished:
		h.over = true
	}
}

func (s *stream) client(c *dissector.Context, h *half, body []byte) {
	if h.hello {
		return // again, as the server asked
	}
	h.hello = true
	var x hello
	if !x.parse(body) {
		c.Count("tls_hello_malformed")
		h.over = true
		return
	}
	if s.upgraded {
		c.Sink.Inner("tls")
	}
	x.emitClient(c)
}

func (s *stream) server(c *dissector.Context, h *half, body []byte) {
	if h.served {
		return
	}
	var x hello
	if !x.parseServer(body) {
		c.Count("tls_hello_malformed")
		h.over = true
		return
	}
	if x.retry() {
		h.retried = true // its real hello follows
		return
	}
	h.served = true
	if s.upgraded {
		c.Sink.Inner("tls")
	}
	x.emitServer(c)
	if x.version() >= tls13 && !x.datagrams() {
		h.over, s.half[1-c.Side&1].over = true, true
	}
}

// Gap steps over missing bytes of a record that is not read; else the direction
// is lost until something begins with a record again.
func (s *stream) Gap(c *dissector.Context, n int64) {
	h := &s.half[c.Side&1]
	if h.over || h.lost {
		return
	}
	if n > 0 && int64(h.left) >= n && h.head[0] != handshake {
		h.left -= int(n)
		return
	}
	*h = half{lost: true, hello: h.hello, served: h.served, begun: true}
}

// End drops what is incomplete.
func (s *stream) End(c *dissector.Context) {
	h := &s.half[c.Side&1]
	h.over, h.msg = true, nil
	if s.half[1-c.Side&1].over {
		c.Sink.Done()
	}
}

// Size is the bytes that are kept.
func (s *stream) Size() int { return cap(s.half[0].msg) + cap(s.half[1].msg) + 256 }
