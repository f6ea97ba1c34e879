// Package vnc dissects the handshake of RFB, the protocol of VNC (RFC 6143, and the
// security types registered with IANA): versions, the kinds of authentication that a
// server offers, the one that a client takes, and whether that succeeds.
//
// Nothing behind the handshake is read. Challenges and answers, reasons of failures,
// and the desktop's name, which has the user's in it, never leave.
package vnc

import (
	"encoding/binary"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is RFB.
var Protocol = dissector.Protocol{
	Name: "vnc", Ports: []uint16{5900, 5901},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const form = "RFB 000.000\n" // with any digits

func recognise(b []byte, _ bool) dissector.Verdict {
	n := min(len(b), len(form))
	for i, x := range b[:n] {
		if form[i] == '0' && (x < '0' || x > '9') || form[i] != '0' && x != form[i] {
			return dissector.No
		}
	}
	if n < len(form) {
		return dissector.More
	}
	return dissector.Yes
}

// Security types (RFC 6143 8.1.2).
const (
	typeNone = 1
	typeVNC  = 2
)

var types = map[byte]string{
	typeNone: "none", typeVNC: "vnc", 5: "ra2", 6: "ra2ne", 16: "tight", 17: "ultra", 18: "tls", 19: "vencrypt", 20: "sasl", 21: "md5", 22: "xvp", 30: "ard", 35: "ard2", 113: "ms_logon2", 129: "ra2_256", 130: "ra2ne_256",
}

func typeName(n byte) string {
	if s := types[n]; s != "" {
		return s
	}
	return strconv.Itoa(int(n))
}

// step is what comes next of a side.
type step uint8

const (
	versionNext   step = iota
	securityNext       // of the server: what it offers, or in 3.3 what it wants
	choiceNext         // of the client
	challengeNext      // of the server, 16 bytes
	resultNext         // of the server
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
		s.tell(c, "unknown")
		c.Sink.Done()
	}
}

// take acts on the step at the beginning of the buffer and gives its length, 0 for one
// that is not all there, or that waits for the other side.
func (s *stream) take(c *dissector.Context, h *half) int {
	b := h.buf
	switch h.step {
	case versionNext:
		if len(b) < len(form) {
			return 0
		}
		s.version(c, h, b)
		return len(form)
	case securityNext:
		return s.security(c, h, b)
	case choiceNext:
		if len(b) == 0 {
			return 0
		}
		s.chosen = b[0]
		h.step = nothing
		if s.chosen != typeVNC && (s.chosen != typeNone || s.minor < 8) { // a result of None came with 3.8
			s.half[1-c.Side&1].step = nothing
			s.tell(c, map[bool]string{true: "success", false: "unknown"}[s.chosen == typeNone])
		}
		return 1
	case challengeNext:
		const size = 16
		if s.chosen == typeNone {
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
		s.tell(c, outcome)
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
	f := dissector.Fact{Kind: "version", Subject: dissector.Subject{Side: c.Side}}
	role := "client"
	h.step = choiceNext
	if c.Side == dissector.Dst {
		role = "server"
		h.step = securityNext
	} else {
		minor, err := strconv.Atoi(string(b[8:11]))
		switch {
		case err != nil || string(b[4:7]) == "003" && minor < 7: // 3.5 is treated as 3.3 (RFC 6143 7.1.1)
			s.minor, h.step = 3, nothing
		case minor == 7:
			s.minor = 7
		default:
			s.minor = 8
		}
	}
	f.Attributes.Set("role", role)
	f.Attributes.Set("rfb_version", string(b[4:11]))
	c.Emit(&f)
}

// security reads what the server offers: a count and types, or of version 3.3 one type
// of four bytes. Nothing (0) means that it turns the client away, with a reason.
func (s *stream) security(c *dissector.Context, h *half, b []byte) int {
	if s.minor == 0 || len(b) == 0 {
		return 0
	}
	var list []string
	size := 0
	if s.minor == 3 {
		if size = 4; len(b) < size {
			return 0
		}
		if binary.BigEndian.Uint32(b) > 0 {
			s.chosen = b[3]
			list = []string{typeName(b[3])}
		}
		h.step = challengeNext
		if s.chosen != typeVNC {
			h.step = nothing
		}
	} else {
		if size = 1 + int(b[0]); len(b) < size {
			return 0
		}
		for _, x := range b[1:size] {
			list = append(list, typeName(x))
		}
		h.step = challengeNext
	}
	f := dissector.Fact{Kind: "security", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	a.SetList("security_offered", list)
	if len(list) == 0 {
		a.Set("outcome", "refused")
		h.step = nothing
	}
	c.Emit(&f)
	if s.minor == 3 && s.chosen == typeNone {
		s.tell(c, "success")
	}
	return size
}

// tell tells how the client was let in, once.
func (s *stream) tell(c *dissector.Context, outcome string) {
	if s.told || s.chosen == 0 {
		return
	}
	s.told = true
	f := dissector.Fact{Kind: "login", Subject: dissector.Subject{Side: dissector.Src}}
	a := &f.Attributes
	a.Set("role", "client")
	a.Set("mechanism", typeName(s.chosen))
	a.Set("outcome", outcome)
	if s.chosen == typeNone || s.chosen == typeVNC {
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
		s.tell(c, "unknown")
	}
}

// Size is about the bytes that are kept.
func (s *stream) Size() int { return 128 + cap(s.half[0].buf) + cap(s.half[1].buf) }
