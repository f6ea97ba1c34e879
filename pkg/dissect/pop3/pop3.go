// Package pop3 dissects POP3 (RFC 1939, RFC 2449, RFC 2595, RFC 5034): what the server
// calls itself, how somebody logs in and whether that succeeds, and how many messages
// are fetched.
//
// Here live the recognition of the two sides and the pairing of commands with
// answers. Names, passwords and messages never leave. After STLS the connection is
// pkg/dissect/tls's.
package pop3

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/lines"
	"github.com/wardflow/wardflow/pkg/dissect/sasl"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is POP3.
var Protocol = dissector.Protocol{
	Name: "pop3", Ports: []uint16{110},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	maxLine    = 512 // RFC 2449 4
	maxPending = 64
)

// recognise wants a server's greeting, "+OK" and some text, or a client's first
// command that no other protocol has.
func recognise(b []byte, midstream bool) dissector.Verdict {
	line, _, whole := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	if len(line) > maxLine {
		return dissector.No
	}
	const ok = "+OK "
	if n := min(len(line), len(ok)); string(line[:n]) == ok[:n] && !midstream {
		switch {
		case !whole:
			return dissector.More
		case len(line) > len(ok) && lines.Printable(line):
			return dissector.Yes
		}
		return dissector.No
	}
	for _, v := range []string{"CAPA", "STLS", "APOP ", "USER ", "UIDL", "RETR "} {
		n := min(len(line), len(v))
		if !bytes.EqualFold(line[:n], []byte(v[:n])) || midstream && v != "APOP " && v != "UIDL" || !midstream && (v == "UIDL" || v == "RETR ") {
			continue
		}
		switch {
		case !whole:
			return dissector.More
		case len(line) < len(v), v[len(v)-1] != ' ' && len(line) != len(v), !lines.Printable(line):
			return dissector.No
		case v == "APOP " && bytes.Count(line, []byte(" ")) != 2, v == "USER " && bytes.Count(line, []byte(" ")) != 1:
			return dissector.No
		}
		return dissector.Yes
	}
	return dissector.No
}

var verbs = []string{"APOP", "AUTH", "CAPA", "DELE", "LIST", "NOOP", "PASS", "QUIT", "RETR", "RSET", "STAT", "STLS", "TOP", "UIDL", "USER", "UTF8", "XTND"}

// command is a command that waits for its answer.
type command struct {
	verb    string // "" for one that is not known, "token" for one of AUTH's
	long    bool   // its answer has several lines
	account string
}

// stream is one connection.
type stream struct {
	conn    lines.Conn
	decided [2]bool
	server  [2]bool
	greeted bool
	long    bool // in an answer of several lines
	tokens  bool // the client's next line is a token of AUTH
	pending []command
	account string
	login   sasl.Exchange
	session lines.Session
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) { s.conn.Data(c, b, s) }

// Gap loses a line, and which answer belongs to which command.
func (s *stream) Gap(c *dissector.Context, n int64) { s.conn.Gap(c, n, s) }

// End says that a direction is over.
func (s *stream) End(c *dissector.Context) { s.conn.End(c, s) }

// Size is about the bytes that are kept.
func (s *stream) Size() int { return 1024 + s.conn.Size() + 40*cap(s.pending) }

// Begins holds for a known command, and for an answer.
func (s *stream) Begins(b []byte) bool { return answer(b) != 0 || verb(b) != "" }

// Lost forgets what was being waited for.
func (s *stream) Lost(c *dissector.Context) {
	s.pending, s.long, s.tokens = s.pending[:0], false, false
	s.login.End()
	if side := c.Side & 1; !s.decided[side] || s.server[side] {
		s.greeted = true
	}
}

func verb(b []byte) string {
	word, _, _ := bytes.Cut(b, []byte(" "))
	for _, v := range verbs {
		if len(word) == len(v) && bytes.EqualFold(word, []byte(v)) {
			return v
		}
	}
	return ""
}

// answer is '+', '-', or 0 for what is none.
func answer(b []byte) byte {
	for _, a := range []string{"+OK", "-ERR", "+"} {
		if bytes.HasPrefix(b, []byte(a)) && (len(b) == len(a) || b[len(a)] == ' ') {
			return a[0]
		}
	}
	return 0
}

// Line takes a command or a line of an answer.
func (s *stream) Line(c *dissector.Context, line []byte, _ bool) {
	side := c.Side & 1
	if !s.decided[side] {
		s.decided[side], s.server[side] = true, answer(line) != 0
	}
	switch {
	case !s.server[side]:
		s.session.Client = c.Side
		s.command(c, line)
	case s.long:
		if string(line) == "." {
			s.long = false
		}
	case answer(line) != 0:
		s.answer(c, line)
	case len(line) > 0:
		c.Count("pop3_malformed")
	}
}

// command takes a client's line.
func (s *stream) command(c *dissector.Context, line []byte) {
	if s.tokens {
		s.tokens = false
		s.login.Text(c, line, true)
		s.wait(c, command{verb: "token"})
		return
	}
	_, rest, _ := bytes.Cut(line, []byte(" "))
	rest = bytes.TrimSpace(rest)
	x := command{verb: verb(line), account: s.account}
	switch x.verb {
	case "USER":
		x.account = dissector.Account(rest)
		s.account = x.account
	case "APOP":
		name, _, _ := bytes.Cut(rest, []byte(" "))
		x.account = dissector.Account(name)
	case "AUTH":
		name, first, _ := bytes.Cut(rest, []byte(" "))
		if len(name) > 0 {
			s.login.Begin(name)
			if len(first) > 0 {
				s.login.Text(c, first, true)
			}
		}
		x.long = len(name) == 0
	case "RETR", "TOP", "CAPA":
		x.long = true
	case "LIST", "UIDL":
		x.long = len(rest) == 0
	}
	s.session.Count(cmp.Or(x.verb, "other"))
	s.wait(c, x)
}

func (s *stream) wait(c *dissector.Context, x command) {
	if len(s.pending) == maxPending {
		s.pending = slices.Delete(s.pending, 0, 1)
		c.Count("pop3_commands_skipped")
	}
	s.pending = append(s.pending, x)
}

// answer takes the first line of an answer.
func (s *stream) answer(c *dissector.Context, line []byte) {
	good := line[0] == '+'
	if !s.greeted {
		s.greeted = true
		s.greet(c, line, good)
		return
	}
	if len(s.pending) == 0 {
		return
	}
	x := s.pending[0]
	s.pending = slices.Delete(s.pending, 0, 1)
	s.long = x.long && good
	outcome := "failure"
	if good {
		outcome = "success"
	}
	switch x.verb {
	case "PASS":
		s.tell(c, x.account, "", "user_pass", outcome)
	case "APOP":
		s.tell(c, x.account, "apop", "", outcome)
	case "STLS":
		s.session.TLS = s.session.TLS || good
	case "AUTH", "token":
		switch {
		case good && !bytes.HasPrefix(line, []byte("+OK")):
			s.login.Text(c, line[1:], false)
			s.tokens = true
		case s.login.Active():
			s.sasl(c, outcome)
		}
	}
}

// greet tells of the greeting.
func (s *stream) greet(c *dissector.Context, line []byte, good bool) {
	f := dissector.Fact{Kind: "banner", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	if !good {
		a.Set("outcome", "refused")
	}
	_, text, _ := bytes.Cut(line, []byte(" "))
	b := banner.Read(text)
	b.Set(a)
	// The time stamp of APOP has the server's name: <1896.697170952@dbc.mtview.ca.us>.
	if _, rest, ok := bytes.Cut(text, []byte("@")); ok {
		if host, _, ok := bytes.Cut(rest, []byte(">")); ok {
			a.Set("hostname", banner.Host(host, false))
		}
	}
	c.Emit(&f)
}

func (s *stream) sasl(c *dissector.Context, outcome string) {
	s.session.Login(c, s.login.Key(), outcome, s.login.Set)
	s.login.End()
}

// tell tells of a login by PASS or APOP (an MD5 of the password).
func (s *stream) tell(c *dissector.Context, account, mechanism, credential, outcome string) {
	s.session.Login(c, mechanism+account, outcome, func(a *proto.Attributes) {
		a.Set("account", account)
		a.Set("mechanism", mechanism)
		if mechanism != "" {
			a.Set("legacy", "true")
		}
		a.Set("cleartext_credential", credential)
	})
}

// Over sums the connection up.
func (s *stream) Over(c *dissector.Context) {
	for _, x := range s.pending {
		if x.verb == "PASS" {
			s.tell(c, x.account, "", "user_pass", "unknown")
		}
	}
	if s.login.Active() {
		s.sasl(c, "unknown")
	}
	s.session.Tell(c)
}
