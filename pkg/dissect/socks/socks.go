// Package socks dissects SOCKS 4, 4a and 5 (RFC 1928, RFC 1929): that somebody goes
// through a proxy, how it lets him, and what goes through where that is TLS, HTTP,
// SSH or SMTP, which pkg/dissect/tunnel reads.
//
// Destinations of requests, user names and passwords never leave.
package socks

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/http"
	"github.com/wardflow/wardflow/pkg/dissect/smtp"
	"github.com/wardflow/wardflow/pkg/dissect/ssh"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
	"github.com/wardflow/wardflow/pkg/dissect/tunnel"
)

// Protocol is SOCKS.
var Protocol = dissector.Protocol{
	Name: "socks", Ports: []uint16{1080},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	version4 = 4
	version5 = 5
	maxUser  = 255
	maxHead  = 600 // bytes of a side before the tunnel

	noAuth   = 0
	gssapi   = 1
	userPass = 2
	refused  = 0xff

	bind      = 2 // the proxy answers twice: when it listens, and when somebody has come
	associate = 3 // for datagrams, which go another way

	typeIPv4 = 1
	typeName = 3
	typeIPv6 = 4
)

// recognise wants the first two messages of a client of version 5, for one alone is
// three bytes that may be anything; or the one of version 4.
func recognise(b []byte, midstream bool) dissector.Verdict {
	if midstream {
		return dissector.No
	}
	if len(b) == 0 {
		return dissector.More
	}
	switch b[0] {
	case version4:
		return four(b)
	case version5:
		return five(b)
	}
	return dissector.No
}

// four: 04 | command (1) | port (2) | address (4) | user NUL | [name NUL]. A client waits
// for the answer, but whether more had come by now must not decide: where it was cut would.
func four(b []byte) dissector.Verdict {
	if len(b) > 1 && b[1] != 1 && b[1] != 2 {
		return dissector.No
	}
	if len(b) < 9 {
		return dissector.More
	}
	if binary.BigEndian.Uint16(b[2:]) == 0 || b[4] == 127 || b[4] > 223 || b[7] == 0 { // no host's address
		return dissector.No
	}
	strings := 1
	if b[4]|b[5]|b[6] == 0 { // 4a: a name follows
		strings = 2
	}
	rest := b[8:]
	for range strings {
		s, after, ok := bytes.Cut(rest, []byte{0})
		if len(s) > maxUser || !printable(s) {
			return dissector.No
		}
		if !ok {
			return dissector.More
		}
		rest = after
	}
	return dissector.Yes
}

func printable(b []byte) bool {
	for _, x := range b {
		if x < ' ' || x > '~' {
			return false
		}
	}
	return true
}

// five: 05 | count (1) | methods, then 01 and a name and password, or 05 and a request.
func five(b []byte) dissector.Verdict {
	if len(b) > 1 && (b[1] == 0 || b[1] > 16) {
		return dissector.No
	}
	if len(b) < 2 || len(b) <= 2+int(b[1]) {
		return dissector.More
	}
	b = b[2+int(b[1]):]
	if b[0] == 1 {
		return credentials(b)
	}
	if b[0] != version5 {
		return dissector.No
	}
	return request(b)
}

// credentials: 01 | name (1+) | password (1+) (RFC 1929 2).
func credentials(b []byte) dissector.Verdict {
	b = b[1:]
	for range 2 {
		if len(b) > 0 && b[0] == 0 {
			return dissector.No
		}
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return dissector.More
		}
		b = b[1+int(b[0]):]
	}
	return dissector.Yes
}

// request: 05 | command (1) | 00 | type (1) | address | port (2) (RFC 1928 4).
func request(b []byte) dissector.Verdict {
	for i, x := range b[:min(len(b), 4)] {
		if i == 1 && (x == 0 || x > 3) || i == 2 && x != 0 || i == 3 && x != typeIPv4 && x != typeName && x != typeIPv6 {
			return dissector.No
		}
	}
	n := requestSize(b)
	if n == 0 || len(b) < n {
		return dissector.More
	}
	return dissector.Yes
}

// requestSize is the length of a request or its answer, 0 while it is not known.
func requestSize(b []byte) int {
	if len(b) < 5 {
		return 0
	}
	switch b[3] {
	case typeIPv4:
		return 4 + 4 + 2
	case typeIPv6:
		return 4 + 16 + 2
	case typeName:
		return 4 + 1 + int(b[4]) + 2
	}
	return 4
}

// stream is one connection. Who speaks first is the client.
type stream struct {
	client  dissector.Side
	known   bool
	buf     [2][]byte
	version byte
	command byte
	granted int // answers that said yes
	step    [2]step
	account string
	method  string
	port    string
	told    bool
	over    bool
	joined  bool // the proxy had spoken before the connection was recognised
	tunnel  *tunnel.Stream
}

// step is what comes next of a side.
type step uint8

const (
	greeting step = iota
	authenticating
	requesting
	open
)

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	side := c.Side & 1
	if s.begin(c, b); c.Side != s.client && s.version == 0 {
		s.joined = true
		return // a proxy that calls its client, and says who it is before it is asked
	}
	if s.step[side] == open {
		s.pass(c, b)
		return
	}
	n := min(len(b), maxHead-len(s.buf[side]))
	s.buf[side] = append(s.buf[side], b[:n]...)
	for s.step[side] != open && !s.over {
		k := s.take(c, s.buf[side])
		if k == 0 {
			break
		}
		s.buf[side] = s.buf[side][:copy(s.buf[side], s.buf[side][k:])]
	}
	if s.step[side] == open {
		rest := slices.Concat(s.buf[side], b[n:])
		s.buf[side] = nil
		s.pass(c, rest)
	} else if len(s.buf[side]) == maxHead {
		c.Count("socks_malformed")
		s.stop(c)
	}
}

// begin finds out who the client is: whom the connection was recognised by. Bytes of
// the opener come first, where there are any.
func (s *stream) begin(c *dissector.Context, b []byte) {
	if s.known || len(b) == 0 {
		return
	}
	s.known, s.client = true, dissector.Dst
	if c.Side == dissector.Src && (b[0] == version4 || b[0] == version5) {
		s.client = dissector.Src
	}
}

// pass gives bytes of an open direction to what goes through. A client that does not
// wait for the answer is read at once.
func (s *stream) pass(c *dissector.Context, b []byte) {
	if s.over {
		return
	}
	s.through().Data(c, b)
	if s.tunnel.Over() {
		s.tell(c, "unknown")
		s.stop(c)
	}
}

func (s *stream) through() *tunnel.Stream {
	if s.tunnel == nil {
		s.tunnel = tunnel.New("socks", s.client.Peer(), &tls.Protocol, &http.Protocol, &ssh.Protocol, &smtp.Protocol)
	}
	return s.tunnel
}

// stop says that nothing of interest follows.
func (s *stream) stop(c *dissector.Context) {
	s.over = true
	c.Sink.Done()
}

// take acts on the next message of a side and gives its length, 0 for one that is not
// all there.
func (s *stream) take(c *dissector.Context, b []byte) int {
	if len(b) == 0 {
		return 0
	}
	if c.Side == s.client {
		return s.ask(c, b)
	}
	return s.answer(c, b)
}

// ask takes a message of the client.
func (s *stream) ask(_ *dissector.Context, b []byte) int {
	step := &s.step[s.client&1]
	switch *step {
	case greeting:
		if s.version = b[0]; s.version == version4 {
			if four(b) != dissector.Yes {
				return 0
			}
			s.command, s.port = b[1], strconv.Itoa(int(binary.BigEndian.Uint16(b[2:])))
			user, _, _ := bytes.Cut(b[8:], []byte{0})
			s.method = "none"
			if len(user) > 0 {
				s.account = dissector.Account(user)
			}
			*step = open
			return len(b)
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return 0
		}
		*step = requesting
		return 2 + int(b[1])
	case requesting:
		if b[0] == 1 {
			if credentials(b) != dissector.Yes {
				return 0
			}
			n := int(b[1])
			s.account, s.method = dissector.Account(b[2:2+n]), "user_pass"
			return 2 + n + 1 + int(b[2+n])
		}
		n := requestSize(b)
		if n == 0 || len(b) < n {
			return 0
		}
		s.command, s.port = b[1], strconv.Itoa(int(binary.BigEndian.Uint16(b[n-2:])))
		*step = open
		return n
	}
	return 0
}

// answer takes a message of the proxy.
func (s *stream) answer(c *dissector.Context, b []byte) int {
	step := &s.step[1-s.client&1]
	switch *step {
	case greeting:
		if b[0] == 0 { // of version 4: 00 | code (1) | 6
			if len(b) < 8 {
				return 0
			}
			s.decide(c, b[1] == 0x5a)
			return 8
		}
		if len(b) < 2 || s.joined && len(b) < 4 {
			return 0
		}
		*step = requesting
		if s.joined && b[2] == 0 && b[3] > 0 { // the answer to the greeting went by
			return s.answer(c, b)
		}
		switch b[1] {
		case userPass:
			*step = authenticating
		case refused:
			s.tell(c, "refused")
			s.stop(c)
		case gssapi: // its messages wrap all that follows (RFC 1961)
			s.method = "gssapi"
			s.tell(c, "unknown")
			s.stop(c)
		case noAuth:
			s.method = "none"
		}
		return 2
	case authenticating:
		if len(b) < 2 {
			return 0
		}
		if *step = requesting; b[1] != 0 { // then it must close (RFC 1929 2)
			s.tell(c, "failure")
			s.stop(c)
		}
		return 2
	case requesting:
		n := requestSize(b)
		if n == 0 || len(b) < n {
			return 0
		}
		s.decide(c, b[1] == 0)
		return n
	}
	return 0
}

// decide takes the answer to a request: whether the rest of the connection is what
// goes through.
func (s *stream) decide(c *dissector.Context, granted bool) {
	s.tell(c, map[bool]string{true: "success", false: "failure"}[granted])
	s.granted++
	switch {
	case !granted, s.command == associate:
		s.stop(c)
	case s.command != bind || s.granted == 2:
		s.step[1-s.client&1] = open
	}
}

// tell tells how it went, once.
func (s *stream) tell(c *dissector.Context, outcome string) {
	if s.told {
		return
	}
	s.told = true
	f := dissector.Fact{Protocol: "socks", Kind: "connect", Subject: dissector.Subject{Side: s.client}}
	a := &f.Attributes
	a.Set("role", "client")
	a.Set("socks_version", strconv.Itoa(int(s.version)))
	a.Set("mechanism", s.method)
	a.Set("account", s.account)
	a.Set("destination_port", s.port)
	if s.method == "user_pass" {
		a.Set("cleartext_credential", "user_pass")
	}
	a.Set("outcome", outcome)
	c.Emit(&f)
}

// Gap loses the rest of a side's handshake: what follows is taken for what goes
// through, joined midway.
func (s *stream) Gap(c *dissector.Context, n int64) {
	side := c.Side & 1
	s.buf[side] = nil
	if s.over {
		return
	}
	if !s.known {
		s.joined = true
		return
	}
	if s.step[side] != open {
		s.step[side], n = open, -1
	}
	s.through().Gap(c, n)
}

// End tells what is known.
func (s *stream) End(c *dissector.Context) {
	if s.over {
		return
	}
	if s.version != 0 {
		s.tell(c, "unknown")
	}
	if s.tunnel == nil {
		return
	}
	s.tunnel.End(c)
	if s.tunnel.Over() {
		s.stop(c)
	}
}

// Size is about the bytes that are kept.
func (s *stream) Size() int {
	n := 256 + cap(s.buf[0]) + cap(s.buf[1])
	if s.tunnel != nil {
		n += s.tunnel.Size()
	}
	return n
}
