// Package vnc dissects the handshake of the Remote Framebuffer Protocol (RFC 6143): which
// versions are spoken, whether a screen can be had without a password, and whether it was.
//
// Nothing behind the handshake is read: no challenge, no desktop's name, no picture.
package vnc

import (
	"encoding/binary"
	"strconv"

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

const (
	securityNone  = 1
	securityVNC   = 2
	otherSecurity = "other"
)

func securityName(n byte) string {
	if s := securities[n]; s != "" {
		return s
	}
	return otherSecurity
}

// step is what comes next of a side.
type step uint8

const (
	versionNext   step = iota
	securityNext       // of the server: what it offers, or in 3.3 what it wants (7.1.2)
	choiceNext         // of the client
	challengeNext      // of the server, 16 bytes (7.2.2)
	resultNext         // of the server (7.1.3)
	nothing            // more of it is read
)

// stream is one connection. Who was dialled is the server.
type stream struct {
	half   [2]half
	minor  int // of the client's version, which decides: 3, 7 or 8
	chosen byte
	told   bool
}

type half struct {
	step step
	lost bool
	buf  []byte
}

const maxBuffer = 300 // the longest list of security types

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	if h.lost && h.step == versionNext && recognise(b, true) == dissector.Yes {
		h.lost = false // the capture began after the handshake of TCP
	}
	for h.step != nothing && !h.lost {
		room := min(maxBuffer-len(h.buf), len(b))
		h.buf = append(h.buf, b[:room]...)
		b = b[room:]
		n := s.take(c, h)
		if n == 0 {
			break
		}
		h.buf = h.buf[:copy(h.buf, h.buf[n:])]
	}
	if len(b) > 0 && (h.lost || s.half[dissector.Dst].step == nothing) {
		s.login(c, "unknown")
		c.Sink.Done()
	}
}

// take acts on the step at the beginning of the buffer and gives its length, 0 for one
// that is not all there, or that waits for the other side.
func (s *stream) take(c *dissector.Context, h *half) int {
	b := h.buf
	switch h.step {
	case versionNext:
		if len(b) < banner {
			return 0
		}
		s.version(c, h, b)
		return banner
	case securityNext:
		return s.security(c, h, b)
	case choiceNext:
		return s.choice(c, h, b)
	case challengeNext:
		const size = 16
		if s.chosen == securityNone {
			h.step = resultNext
			return s.take(c, h)
		}
		if s.chosen == 0 || len(b) < size {
			return 0
		}
		h.step = resultNext
		return size
	case resultNext:
		if len(b) < 4 {
			return 0
		}
		h.step = nothing
		outcome := "failure"
		if binary.BigEndian.Uint32(b) == 0 {
			outcome = "success"
		}
		s.login(c, outcome)
		return 4
	}
	return 0
}

// version tells of a side's version.
func (s *stream) version(c *dissector.Context, h *half, b []byte) {
	if recognise(b, false) != dissector.Yes {
		h.lost = true
		c.Count("vnc_malformed")
		return
	}
	major, _ := strconv.Atoi(string(b[4:7]))
	minor, _ := strconv.Atoi(string(b[8:11]))
	f := dissector.Fact{Kind: "version", Subject: dissector.Subject{Side: c.Side}}
	role := "client"
	h.step = choiceNext
	switch {
	case c.Side == dissector.Dst:
		role = "server"
		h.step = securityNext
	case major == 3 && minor < 7: // 3.5 is treated as 3.3 (7.1.1)
		s.minor, h.step = 3, nothing
	case major == 3 && minor == 7:
		s.minor = 7
	default:
		s.minor = 8
	}
	f.Attributes.Set("role", role)
	f.Attributes.Set("vnc_version", strconv.Itoa(major)+"."+strconv.Itoa(minor))
	c.Emit(&f)
}

// security reads what the server offers: a count and types, or of version 3.3 one type
// of four bytes. Nothing (0) means that it turns the client away, with a reason.
func (s *stream) security(c *dissector.Context, h *half, b []byte) int {
	if s.minor == 0 || len(b) == 0 {
		return 0
	}
	size := 1 + int(b[0])
	if s.minor == 3 {
		size = 4
	}
	if len(b) < size {
		return 0
	}
	offered := b[1:size]
	if s.minor == 3 {
		if offered = b[3:4]; binary.BigEndian.Uint32(b) == 0 {
			offered = nil
		} else {
			s.chosen = b[3]
		}
	}
	h.step = challengeNext
	if len(offered) == 0 || s.minor == 3 && s.chosen != securityVNC {
		h.step = nothing
	}
	s.tell(c, "security_offered", offered)
	if s.minor == 3 && s.chosen == securityNone {
		s.login(c, "success")
	}
	return size
}

// choice reads what the client takes of it. A result of no security at all came with 3.8.
func (s *stream) choice(c *dissector.Context, h *half, b []byte) int {
	if len(b) == 0 {
		return 0
	}
	s.chosen = b[0]
	h.step = nothing
	s.tell(c, "security_chosen", b[:1])
	if s.chosen != securityVNC && (s.chosen != securityNone || s.minor < 8) {
		s.half[1-c.Side&1].step = nothing
		outcome := "unknown"
		if s.chosen == securityNone {
			outcome = "success"
		}
		s.login(c, outcome)
	}
	return 1
}

// tell tells which security there is.
func (s *stream) tell(c *dissector.Context, kind string, types []byte) {
	f := dissector.Fact{Subject: dissector.Subject{Side: c.Side}, Kind: kind}
	var names []string
	for _, t := range types[:min(len(types), 16)] {
		names = append(names, securityName(t))
		if t == securityNone {
			f.Attributes.Set("unauthenticated", "true")
		}
	}
	f.Attributes.SetList("security", names)
	if len(names) == 0 {
		f.Attributes.Set("outcome", "refused")
	}
	c.Emit(&f)
}

// login tells how the client was let in, once.
func (s *stream) login(c *dissector.Context, outcome string) {
	if s.told || s.chosen == 0 {
		return
	}
	s.told = true
	f := dissector.Fact{Kind: "login", Subject: dissector.Subject{Side: dissector.Src}}
	a := &f.Attributes
	a.Set("role", "client")
	a.Set("mechanism", securityName(s.chosen))
	a.Set("outcome", outcome)
	if s.chosen == securityNone || s.chosen == securityVNC {
		a.Set("legacy", "true") // nobody is asked; or DES with eight characters at most
	}
	c.Emit(&f)
}

// Gap loses the handshake.
func (s *stream) Gap(c *dissector.Context, _ int64) {
	h := &s.half[c.Side&1]
	h.lost, h.buf = true, nil
}

// End tells of a login without result.
func (s *stream) End(c *dissector.Context) {
	if h := &s.half[c.Side&1]; c.Side == dissector.Dst || h.step == nothing {
		s.login(c, "unknown")
	}
}

// Size is about the bytes that are kept.
func (s *stream) Size() int { return 128 + cap(s.half[0].buf) + cap(s.half[1].buf) }
