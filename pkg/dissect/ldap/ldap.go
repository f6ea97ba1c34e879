package ldap

import (
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/ber"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
	"github.com/wardflow/wardflow/pkg/dissect/sasl"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
)

const (
	maxKept     = 16 << 10
	maxMessages = 4096 // of a connection that are read
	maxTold     = 12
	maxLost     = 256 << 10
	oidStartTLS = "1.3.6.1.4.1.1466.20037"
)

// message takes an LDAPMessage apart: its operation and the operation's content. Of a
// message that was cut the operation has what is there.
func message(m []byte) (op ber.Value, ok bool) {
	_, head, _, ok := ber.Header(m)
	if !ok || head == 0 {
		return op, false
	}
	_, rest, ok := ber.Next(m[head:]) // the id
	if !ok {
		return op, false
	}
	op, n, length, ok := ber.Header(rest)
	if !ok || n == 0 || !plausible(op) {
		return op, false
	}
	op.Body = rest[n:]
	if length <= int64(len(op.Body)) {
		op.Body = op.Body[:length]
	}
	return op, true
}

// datagram takes CLDAP: a search for the root DSE or for netlogon, and its answer,
// several messages in one datagram.
func datagram(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
	first := true
	for len(b) > 0 {
		n := size(b, false)
		if n <= 0 || n > len(b) || recognise(b, false) != dissector.Yes {
			break
		}
		op, ok := message(b[:n])
		if !ok || first && op.Tag != search && op.Tag != entry && op.Tag != searchDone && op.Tag != abandon {
			break
		}
		first = false
		switch op.Tag {
		case search:
			ping(c, op.Body)
		case entry:
			answer(c, op.Body, nil)
		}
		b = b[n:]
	}
	if first {
		return dissector.No
	}
	if len(b) > 0 {
		c.Count("ldap_malformed")
	}
	return dissector.Yes
}

var format = framing.Format{Keep: maxKept, Length: size, Recognise: recognise, Odd: "ldap_malformed"}

// stream is one connection.
type stream struct {
	framing.Both
	inTLS    [2]bool
	tls      dissector.Stream
	messages int
	over     bool

	client   dissector.Side
	counts   map[string]int
	bind     bind
	logins   int
	failed   int
	told     []string
	starting bool // StartTLS was asked for
	secure   bool
	sealed   bool
}

// bind is a bind request that waits for its answer.
type bind struct {
	open    bool
	method  string // simple, sasl, sicily
	account string
	secret  bool // a password was shown
	sasl    sasl.Exchange
}

// The first bytes of TLS records.
const (
	firstRecord = 20
	handshake   = 22
	lastRecord  = 23
)

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	side := c.Side & 1
	r := s.Half(c)
	r.Feed(b)
	for !s.inTLS[side] {
		if b = r.Ahead(); len(b) > 0 && s.upgraded(c, b[0], r.Lost()) {
			break
		}
		if s.over {
			return
		}
		m, ok := r.Next(c, &format)
		if !ok {
			if s.Missed() > maxLost {
				s.stop(c)
			}
			return
		}
		op, ok := message(m)
		if !ok {
			c.Count("ldap_malformed")
			continue
		}
		if s.operation(c, op); s.over {
			return
		}
	}
	s.tls.Data(c, b)
}

// upgraded reports whether TLS begins, with such a byte where a message could.
// SASL's own messages end the reading.
func (s *stream) upgraded(c *dissector.Context, first byte, lost bool) bool {
	switch {
	case s.tls != nil && lost && first >= firstRecord && first <= lastRecord:
		s.tls.Gap(c, -1)
	case !lost && s.starting && first == handshake:
		s.secureNow(c)
	default:
		if !lost && first != 0x30 && s.bind.method == "sasl" {
			s.sealed = true
			s.stop(c)
		}
		return false
	}
	s.inTLS[c.Side&1] = true
	return true
}

// secureNow begins TLS.
func (s *stream) secureNow(c *dissector.Context) {
	if s.tls == nil {
		s.tls = tls.Upgraded()
		s.secure = true
		s.sum(c, false)
	}
}

// operation acts on a message.
func (s *stream) operation(c *dissector.Context, op ber.Value) {
	if name := operations[op.Tag]; name != "" {
		if s.counts == nil {
			s.counts = map[string]int{}
		}
		s.client = c.Side
		s.counts[name]++
	}
	switch op.Tag {
	case bindRequest:
		s.bindRequest(c, op.Body)
	case bindResponse:
		s.bindResponse(c, op.Body)
	case search:
		if s.news("ping") {
			ping(c, op.Body)
		}
	case entry:
		answer(c, op.Body, s)
	case extended:
		if v, _, ok := ber.Next(op.Body); ok && v.Is(ber.Context, 0) && string(v.Body) == oidStartTLS {
			s.starting = true
		}
	case unbind:
		s.stop(c)
		return
	}
	if s.messages++; s.messages == maxMessages {
		s.sum(c, true)
		s.over = true
		c.Sink.Done()
	}
}

func (s *stream) news(key string) bool {
	if slices.Contains(s.told, key) || len(s.told) == maxTold {
		return false
	}
	s.told = append(s.told, key)
	return true
}

// stop ends the reading.
func (s *stream) stop(c *dissector.Context) {
	if s.over {
		return
	}
	s.sum(c, false)
	s.over = true
	c.Sink.Done()
}

// sum tells what was done, once.
func (s *stream) sum(c *dissector.Context, incomplete bool) {
	if s.bind.open {
		s.bound(c, "unknown")
	}
	if len(s.counts) == 0 || !s.news("session") {
		return
	}
	f := dissector.Fact{Kind: "session", Subject: dissector.Subject{Side: s.client}}
	a := &f.Attributes
	a.Set("role", "client")
	var list []string
	for name, n := range s.counts {
		list = append(list, name+":"+strconv.Itoa(n))
	}
	slices.Sort(list)
	a.SetList("operations", list)
	if s.logins > 0 {
		a.Set("logins", strconv.Itoa(s.logins))
		a.Set("logins_failed", strconv.Itoa(s.failed))
	}
	if s.secure {
		a.Set("upgraded", "tls")
	}
	if s.sealed {
		a.Set("upgraded", "sasl")
	}
	if incomplete {
		a.Set("incomplete", "true")
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

// End sums the connection up when both directions are over.
func (s *stream) End(c *dissector.Context) {
	side := c.Side & 1
	s.Both.End(c)
	if s.inTLS[side] {
		s.tls.End(c)
	}
	if s.Ended() && s.tls == nil {
		s.stop(c)
	}
}

// Size is about the bytes that are kept.
func (s *stream) Size() int {
	n := 768 + s.Both.Size()
	if s.tls != nil {
		n += s.tls.Size()
	}
	return n
}
