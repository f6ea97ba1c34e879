// Package vnc dissects the handshake of the Remote Framebuffer Protocol (RFC 6143): which
// versions are spoken, and whether a screen can be had without a password.
//
// Nothing behind the handshake is read: no challenge, no desktop's name, no picture.
package vnc

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is VNC over TCP.
var Protocol = dissector.Protocol{
	Name: "vnc", Ports: []uint16{5900, 5901, 5902, 5903},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const banner = 12 // "RFB 003.008\n"

// recognise wants a version, which both sides begin with, the server first (7.1.1).
func recognise(b []byte, _ bool) dissector.Verdict {
	const form = "RFB 000.000\n"
	for i := range min(len(b), banner) {
		digit := form[i] == '0'
		if digit && (b[i] < '0' || b[i] > '9') || !digit && b[i] != form[i] {
			return dissector.No
		}
	}
	if len(b) < banner {
		return dissector.More
	}
	return dissector.Yes
}

// securities are names of security types (IANA, RFB Security Types).
var securities = map[byte]string{
	1: "none", 2: "vnc", 5: "ra2", 6: "ra2ne", 16: "tight", 17: "ultra", 18: "tls", 19: "vencrypt", 20: "sasl", 21: "md5", 22: "xvp", 30: "apple", 33: "apple_rsa", 35: "apple_kerberos", 36: "apple_srp",
	113: "mslogon", 117: "mslogon2", 129: "unix",
}

const otherSecurity = "other"

type stream struct {
	half [2]half
	old  bool // version 3.3: the server decides
	read [2]bool
}

type half struct {
	buf  []byte
	over bool
	seen bool // the version was read
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	if h.over {
		return
	}
	h.buf = append(h.buf, b[:min(len(b), 512-len(h.buf))]...)
	if !h.seen && len(h.buf) >= banner {
		if recognise(h.buf, true) != dissector.Yes {
			h.over, h.buf = true, nil
			return
		}
		h.seen = true
		s.version(c, h.buf[:banner])
		h.buf = h.buf[banner:]
	}
	if h.seen {
		s.security(c, h)
	}
	if len(h.buf) >= 500 {
		h.over = true
	}
	if s.half[0].over && s.half[1].over {
		c.Sink.Done()
	}
}

// version tells what a side speaks. The server speaks first, so that a side that has the
// word before the other's version was seen is the server.
func (s *stream) version(c *dissector.Context, b []byte) {
	f := dissector.Fact{Subject: dissector.Subject{Side: c.Side}, Kind: "version"}
	f.Attributes.Set("vnc_version", string([]byte{b[6], '.', b[10]}))
	if c.Side == dissector.Dst {
		f.Attributes.Set("role", "server")
	} else {
		f.Attributes.Set("role", "client")
	}
	s.old = s.old || b[10] < '7'
	c.Emit(&f)
}

// security reads what the server offers and the client chooses (7.1.2, 7.1.3).
func (s *stream) security(c *dissector.Context, h *half) {
	side := c.Side & 1
	if s.read[side] || side == 0 && s.old || len(h.buf) == 0 {
		if side == 0 && s.old {
			h.over = true
		}
		return
	}
	var types []byte
	switch {
	case side == 0:
		types = h.buf[:1]
	case s.old || !s.half[0].seen && len(h.buf) == 4: // version 3.3: one of four bytes
		if len(h.buf) < 4 {
			return
		}
		if n := binary.BigEndian.Uint32(h.buf); n < 256 {
			types = []byte{byte(n)}
		}
	default:
		n := int(h.buf[0])
		if len(h.buf) < 1+n {
			return
		}
		types = h.buf[1 : 1+n]
	}
	s.read[side], h.over, h.buf = true, true, nil
	s.tell(c, types)
}

func (s *stream) tell(c *dissector.Context, types []byte) {
	f := dissector.Fact{Subject: dissector.Subject{Side: c.Side}, Kind: "security_offered"}
	if c.Side == dissector.Src {
		f.Kind = "security_chosen"
	}
	var names []string
	weak := false
	for _, t := range types[:min(len(types), 16)] {
		name := securities[t]
		if name == "" {
			name = otherSecurity
		}
		names = append(names, name)
		weak = weak || t == 1
	}
	f.Attributes.SetList("security", names)
	if weak {
		f.Attributes.Set("unauthenticated", "true")
	}
	if len(names) > 0 {
		c.Emit(&f)
	}
}

// Gap ends what can be read of a direction.
func (s *stream) Gap(c *dissector.Context, _ int64) {
	h := &s.half[c.Side&1]
	if h.seen || len(h.buf) > 0 {
		h.over, h.buf = true, nil
	}
	if s.half[0].over && s.half[1].over {
		c.Sink.Done()
	}
}

// End has nothing more to tell.
func (s *stream) End(*dissector.Context) {}

// Size is about what is kept.
func (s *stream) Size() int { return 64 + cap(s.half[0].buf) + cap(s.half[1].buf) }
