package rdp

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
)

const (
	maxKept     = 8 << 10
	maxMessages = 8 // of a direction, in which both have said who they are
	handshake   = 22
)

// stream is one connection.
type stream struct {
	framing.Both
	messages [2]int
	inTLS    [2]bool
	tls      dissector.Stream
}

// size is a TPKT's.
func size(b []byte, _ bool) int {
	switch {
	case b[0] != 3:
		return -1
	case len(b) < tpktHeader:
		return 0
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < tpktHeader+3 {
		return -1
	}
	return n
}

var format = framing.Format{Keep: maxKept, Length: size, Recognise: recognise, Odd: "rdp_malformed"}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	side := c.Side & 1
	r := s.Half(c)
	r.Feed(b)
	for !s.inTLS[side] {
		if b = r.Ahead(); len(b) > 0 && s.upgraded(c, b[0], r.Lost()) {
			break
		}
		m, ok := r.Next(c, &format)
		if !ok {
			if r.Lost() {
				c.Sink.Done()
			}
			return
		}
		s.message(c, m[tpktHeader:])
		if s.messages[side]++; s.messages[side] > maxMessages {
			c.Sink.Done()
			return
		}
	}
	s.tls.Data(c, b)
}

// upgraded reports whether TLS begins, with such a byte where a message could.
func (s *stream) upgraded(c *dissector.Context, first byte, lost bool) bool {
	switch {
	case s.tls != nil && lost && first >= 20 && first <= 23:
		s.tls.Gap(c, -1)
	case !lost && first == handshake:
		if s.tls == nil {
			s.tls = tls.Upgraded()
		}
	default:
		return false
	}
	s.inTLS[c.Side&1] = true
	return true
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
		s.Both.Gap(c, n)
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
	n := s.Both.Size()
	if s.tls != nil {
		n += s.tls.Size()
	}
	return n
}
