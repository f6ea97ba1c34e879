package rdp

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/sized"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
)

const (
	maxKept     = 8 << 10
	maxMessages = 8 // of a direction, in which both have said who they are
	handshake   = 22
)

// stream is one connection.
type stream struct {
	half     [2]sized.Reader
	messages [2]int
	inTLS    [2]bool
	tls      dissector.Stream
}

// size is a TPKT's.
func size(b []byte) int64 {
	switch {
	case len(b) > 0 && b[0] != 3:
		return -1
	case len(b) < tpktHeader:
		return 0
	}
	n := int64(binary.BigEndian.Uint16(b[2:]))
	if n < tpktHeader+3 {
		return -1
	}
	return n
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	side := c.Side & 1
	r := &s.half[side]
	if r.Lost && !r.Bad && recognise(b[:min(len(b), dissector.MaxPrefix)], true) == dissector.Yes {
		*r = sized.Reader{} // the capture began after the handshake of TCP
	}
	for len(b) > 0 && !s.inTLS[side] {
		switch {
		case s.tls != nil && r.Lost && b[0] >= 20 && b[0] <= 23:
			s.tls.Gap(c, -1)
			s.inTLS[side] = true
		case b[0] == handshake && r.Fresh():
			if s.tls == nil {
				s.tls = tls.Upgraded()
			}
			s.inTLS[side] = true
		case r.Lost:
			c.Sink.Done()
			return
		default:
			m, rest, _, status := r.Next(b, maxKept, size)
			b = rest
			switch status {
			case sized.Bad:
				c.Count("rdp_malformed")
				c.Sink.Done()
				return
			case sized.Message:
				s.message(c, m[tpktHeader:])
				if s.messages[side]++; s.messages[side] > maxMessages {
					c.Sink.Done()
					return
				}
			}
		}
	}
	if s.inTLS[side] && len(b) > 0 {
		s.tls.Data(c, b)
	}
}

// message takes an X.224 message.
func (s *stream) message(c *dissector.Context, m []byte) {
	if len(m) < 2 {
		return
	}
	switch kind := m[1]; {
	case kind == request && len(m) >= fixedPart:
		asks(c, m[fixedPart:])
	case kind == confirm && len(m) >= fixedPart:
		chooses(c, m[fixedPart:])
	case bytes.HasPrefix(m, connectPDU):
		clientData(c, m)
	case bytes.HasPrefix(m, connectAnswer):
		serverData(c, m)
		c.Sink.Done() // all is said
	}
}

// protocols are the bits of a request and the value of an answer (MS-RDPBCGR 2.2.1.1.1).
var protocols = []struct {
	bit  uint32
	name string
}{{1, "tls"}, {2, "credssp"}, {4, "rdstls"}, {8, "credssp_ex"}, {16, "aad"}}

// asks tells what a client's request asks for.
func asks(c *dissector.Context, b []byte) {
	f := dissector.Fact{Kind: "connect", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "client")
	if rest, ok := bytes.CutPrefix(b, cookie); ok {
		value, after, _ := bytes.Cut(rest, []byte("\r\n"))
		b = after
		if name, ok := bytes.CutPrefix(value, []byte("mstshash=")); ok {
			if i := bytes.IndexByte(name, '\\'); i >= 0 { // DOMAIN\user
				name = name[i+1:]
			}
			a.Set("account", dissector.Account(name))
		} else {
			a.Set("routing_token", "true")
		}
	}
	list := []string{"rdp"}
	if negotiation(b, request) {
		value := binary.LittleEndian.Uint32(b[4:])
		for _, p := range protocols {
			if value&p.bit != 0 {
				list = append(list, p.name)
			}
		}
	}
	a.SetList("security_offered", list)
	if len(list) == 1 {
		a.Set("legacy", "true")
	}
	c.Emit(&f)
}

// failures of a negotiation (MS-RDPBCGR 2.2.1.2.2).
var failures = map[uint32]string{
	1: "ssl_required", 2: "ssl_not_allowed", 3: "ssl_cert_not_on_server", 4: "inconsistent_flags", 5: "hybrid_required", 6: "ssl_with_user_auth_required",
}

// chooses tells what a server's answer says. Without one it is RDP's own encryption.
func chooses(c *dissector.Context, b []byte) {
	f := dissector.Fact{Kind: "negotiation", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	switch {
	case !negotiation(b, confirm):
		a.Set("security", "rdp")
		a.Set("legacy", "true")
	case b[0] == negFailure:
		code := binary.LittleEndian.Uint32(b[4:])
		name := failures[code]
		if name == "" {
			name = strconv.Itoa(int(code))
		}
		a.Set("outcome", "refused")
		a.Set("reason", name)
	default:
		value := binary.LittleEndian.Uint32(b[4:])
		name := "rdp"
		for _, p := range protocols {
			if value == p.bit {
				name = p.name
			}
		}
		a.Set("security", name)
		if value == 0 {
			a.Set("legacy", "true")
		}
	}
	c.Emit(&f)
}

// Gap loses a message.
func (s *stream) Gap(c *dissector.Context, n int64) {
	if side := c.Side & 1; s.inTLS[side] {
		s.tls.Gap(c, n)
	} else {
		s.half[side].Gap(n)
	}
}

// End tells TLS.
func (s *stream) End(c *dissector.Context) {
	if s.inTLS[c.Side&1] {
		s.tls.End(c)
	}
}

// Size is about the bytes that are kept.
func (s *stream) Size() int {
	n := 256 + s.half[0].Size() + s.half[1].Size()
	if s.tls != nil {
		n += s.tls.Size()
	}
	return n
}
