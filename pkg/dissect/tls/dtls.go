package tls

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// DTLS is TLS over UDP (RFC 4347, RFC 6347; of RFC 9147 what is in clear): the same
// hellos and certificates, in messages that are cut into fragments.
var DTLS = dissector.Protocol{Name: "dtls", Ports: []uint16{4433, 5349}, Datagram: dtlsDatagram}

// The versions, which count downwards.
const (
	dtls10 = 0xfeff
	dtls12 = 0xfefd
	dtls13 = 0xfefc
)

const (
	dtlsRecord       = 13 // type (1) | version (2) | epoch (2) | number (6) | length (2)
	dtlsMessage      = 12 // type (1) | length (3) | number (2) | offset (3) | length of the fragment (3)
	lastRecord       = 26
	lastMessage      = 24
	maxDTLSFragments = 64 // of one message
)

// isDTLS wants a record whose length fits, of version 1.0, 1.2 or OpenSSL's first; what
// is in clear of a handshake fits as well.
func isDTLS(b []byte) bool {
	if len(b) <= dtlsRecord || b[0] < changeCipherSpec || b[0] > lastRecord-2 || (b[1] != 0xfe || b[2] != 0xff && b[2] != 0xfd) && (b[1] != 1 || b[2] != 0) {
		return false
	}
	n := int(binary.BigEndian.Uint16(b[11:]))
	if n == 0 || dtlsRecord+n > len(b) {
		return false
	}
	if b[0] == handshake && b[3]|b[4] == 0 {
		return n >= dtlsMessage && b[13] <= lastMessage && int(b[22])<<16|int(b[23])<<8|int(b[24]) <= n-dtlsMessage
	}
	return len(b) == dtlsRecord+n || b[dtlsRecord+n] >= changeCipherSpec && b[dtlsRecord+n] <= lastRecord
}

// dtls is what is kept of a flow: the state of TLS, and of each side the message in
// hand.
type dtls struct {
	tls  stream
	part [2]fragments
}

// fragments are those of one message, put together in order: others are dropped, since
// what is lost is sent again.
type fragments struct {
	number uint16
	msg    []byte // type (1), length (3), then the body so far
	n      int
}

// End drops what is incomplete.
func (d *dtls) End(*dissector.Context) {}

// Size is about what is kept.
func (d *dtls) Size() int { return 256 + cap(d.part[0].msg) + cap(d.part[1].msg) }

func dtlsDatagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	d, _ := c.State.(*dtls)
	if !isDTLS(b) {
		// A connection id (RFC 9146), or the short headers of DTLS 1.3 (RFC 9147 4).
		if known && len(b) > 0 && (b[0] == 25 || b[0]>>5 == 1) {
			return dissector.Yes
		}
		return dissector.No
	}
	if d == nil {
		d = new(dtls)
		c.State = d
	}
	for len(b) > dtlsRecord {
		n := int(binary.BigEndian.Uint16(b[11:]))
		if dtlsRecord+n > len(b) {
			break
		}
		if side := c.Side & 1; b[3]|b[4] != 0 {
			d.tls.half[side].over = true // what follows is encrypted
		} else if b[0] == handshake {
			d.handshake(c, b[dtlsRecord:dtlsRecord+n])
		}
		b = b[dtlsRecord+n:]
	}
	if d.tls.half[0].over && d.tls.half[1].over {
		c.Sink.Done()
	}
	return dissector.Yes
}

// handshake takes the fragments of a record.
func (d *dtls) handshake(c *dissector.Context, b []byte) {
	for len(b) >= dtlsMessage {
		size := length(b)
		offset, n := int(b[6])<<16|int(b[7])<<8|int(b[8]), int(b[9])<<16|int(b[10])<<8|int(b[11])
		if dtlsMessage+n > len(b) || offset+n > size {
			c.Count("tls_hello_malformed")
			return
		}
		d.fragment(c, b[:4], binary.BigEndian.Uint16(b[4:]), offset, b[dtlsMessage:dtlsMessage+n])
		b = b[dtlsMessage+n:]
	}
}

func (d *dtls) fragment(c *dissector.Context, head []byte, number uint16, offset int, body []byte) {
	p, h := &d.part[c.Side&1], &d.tls.half[c.Side&1]
	if h.over {
		return
	}
	if offset == 0 {
		p.number, p.msg, p.n = number, append(p.msg[:0], head...), 0
	}
	if len(p.msg) == 0 || p.number != number || offset != len(p.msg)-messageHeader || p.n >= maxDTLSFragments || len(p.msg)+len(body) > maxKept {
		return
	}
	p.n++
	p.msg = append(p.msg, body...)
	if len(p.msg)-messageHeader == length(p.msg) {
		m := p.msg
		p.msg = nil
		if m[0] == clientHello {
			m = withoutCookie(m)
		}
		d.tls.message(c, h, m, true)
	}
}

// withoutCookie takes out what only DTLS's hello has, behind the session's id (RFC 6347
// 4.2.1), so that the rest is TLS's.
func withoutCookie(m []byte) []byte {
	at := messageHeader + 2 + random
	if len(m) <= at {
		return m
	}
	at += 1 + int(m[at])
	if len(m) <= at || len(m) < at+1+int(m[at]) {
		return m
	}
	return append(m[:at], m[at+1+int(m[at]):]...)
}
