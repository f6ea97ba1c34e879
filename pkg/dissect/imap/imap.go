// Package imap dissects IMAP (RFC 3501, RFC 9051, RFC 2971): what server and client
// call themselves, how somebody logs in and whether that succeeds, and what is done
// how often.
//
// Here live the recognition of the two sides and the pairing of tagged commands with
// their answers. Names, passwords, mailboxes and messages never leave; literals are
// stepped over. Of the ID command the fields of the program are told, and no others.
// After STARTTLS the connection is pkg/dissect/tls's.
package imap

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/lines"
	"github.com/wardflow/wardflow/pkg/dissect/sasl"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is IMAP.
var Protocol = dissector.Protocol{
	Name: "imap", Ports: []uint16{143},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	maxFirst   = 512 // bytes of a first line
	maxTag     = 16
	maxPending = 64
	maxValue   = 64 // of ID
)

// recognise wants the server's greeting "* OK", "* PREAUTH" or "* BYE", or a tagged
// command.
func recognise(b []byte, _ bool) dissector.Verdict {
	line, _, whole := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	if len(line) > maxFirst {
		return dissector.No
	}
	for _, g := range []string{"* OK ", "* PREAUTH ", "* BYE ", "* CAPABILITY IMAP"} {
		n := min(len(line), len(g))
		if string(line[:n]) != g[:n] {
			continue
		}
		if !whole {
			return dissector.More
		}
		if len(line) >= len(g) && lines.Printable(line) {
			return dissector.Yes
		}
	}
	word, rest, spaced := bytes.Cut(line, []byte(" "))
	if !tag(word) {
		return dissector.No
	}
	if !whole {
		if spaced && !starts(rest) {
			return dissector.No
		}
		return dissector.More
	}
	verb, _, _ := bytes.Cut(rest, []byte(" "))
	if lines.Printable(line) && slices.Contains(openers, string(bytes.ToUpper(verb))) {
		return dissector.Yes
	}
	return dissector.No
}

// openers are the commands that a connection can begin with, and that no other
// protocol of tagged lines has.
var openers = []string{"CAPABILITY", "LOGIN", "STARTTLS", "AUTHENTICATE", "ID", "SELECT", "EXAMINE", "NAMESPACE", "LOGOUT"}

func starts(b []byte) bool {
	for _, v := range openers {
		n := min(len(b), len(v))
		if bytes.EqualFold(b[:n], []byte(v[:n])) && (len(b) <= len(v) || b[len(v)] == ' ' || b[len(v)] == '\r') {
			return true
		}
	}
	return false
}

// tag holds for letters, digits and dots, one digit at least, as clients make them.
func tag(b []byte) bool {
	digits := 0
	for _, x := range b {
		switch {
		case x >= '0' && x <= '9':
			digits++
		case x >= 'a' && x <= 'z', x >= 'A' && x <= 'Z', x == '.', x == '_', x == '-':
		default:
			return false
		}
	}
	return len(b) <= maxTag && digits > 0
}

var verbs = []string{
	"APPEND", "AUTHENTICATE", "CAPABILITY", "CHECK", "CLOSE", "COPY", "CREATE", "DELETE", "ENABLE", "EXAMINE", "EXPUNGE", "FETCH", "ID", "IDLE", "LIST", "LOGIN", "LOGOUT", "LSUB", "MOVE",
	"NAMESPACE", "NOOP", "RENAME", "SEARCH", "SELECT", "STARTTLS", "STATUS", "STORE", "SUBSCRIBE", "UID", "UNSUBSCRIBE",
}

// command is a command that waits for its answer.
type command struct {
	tag     [maxTag]byte
	verb    string
	account string
}

// stream is one connection.
type stream struct {
	conn    lines.Conn
	decided [2]bool
	server  [2]bool
	greeted bool
	tokens  bool    // the client's next lines are tokens of AUTHENTICATE
	idle    bool    // ... or DONE
	literal [2]bool // what goes on behind a literal is still the line before
	pending []command
	login   sasl.Exchange
	session lines.Session
	ids     int // of ID that were told
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) { s.conn.Data(c, b, s) }

// Gap loses a line.
func (s *stream) Gap(c *dissector.Context, n int64) { s.conn.Gap(c, n, s) }

// End says that a direction is over.
func (s *stream) End(c *dissector.Context) { s.conn.End(c, s) }

// Size is about the bytes that are kept.
func (s *stream) Size() int { return 1024 + s.conn.Size() + 64*cap(s.pending) }

// Begins holds for the server's lines and for tagged commands.
func (s *stream) Begins(b []byte) bool {
	if bytes.HasPrefix(b, []byte("* ")) || bytes.HasPrefix(b, []byte("+ ")) {
		return true
	}
	word, rest, ok := bytes.Cut(b, []byte(" "))
	return ok && tag(word) && (verb(rest) != "" || status(rest) != "")
}

// Lost forgets what is open.
func (s *stream) Lost(c *dissector.Context) {
	side := c.Side & 1
	s.literal[side], s.tokens, s.idle = false, false, false
	s.login.End()
	if !s.decided[side] || s.server[side] {
		s.greeted = true
	}
}

func verb(b []byte) string {
	word, _, _ := bytes.Cut(b, []byte(" "))
	if len(word) > 12 {
		return ""
	}
	up := bytes.ToUpper(word)
	if i, found := slices.BinarySearchFunc(verbs, up, func(v string, t []byte) int { return bytes.Compare([]byte(v), t) }); found {
		return verbs[i]
	}
	return ""
}

// status is the outcome of a tagged answer.
func status(b []byte) string {
	word, _, _ := bytes.Cut(b, []byte(" "))
	switch string(bytes.ToUpper(word)) {
	case "OK":
		return "success"
	case "NO", "BAD":
		return "failure"
	}
	return ""
}

// Line takes a line of either side. A line that ends in {n} goes on behind n bytes.
func (s *stream) Line(c *dissector.Context, line []byte, long bool) {
	side := c.Side & 1
	if !s.decided[side] {
		first, _, _ := bytes.Cut(line, []byte(" "))
		s.decided[side], s.server[side] = true, string(first) == "*" || string(first) == "+"
	}
	goesOn := s.literal[side]
	s.literal[side] = false
	if n, ok := literal(line); ok && !long {
		s.conn.Half[side].Skip(n)
		s.literal[side] = true
	}
	switch {
	case goesOn:
	case s.server[side]:
		s.reply(c, line)
	default:
		s.session.Client = c.Side
		s.command(c, line)
	}
}

// literal reads "{12}" and "{12+}" at the end of a line (RFC 3501 4.3, RFC 7888).
func literal(line []byte) (int64, bool) {
	if len(line) < 3 || line[len(line)-1] != '}' {
		return 0, false
	}
	i := bytes.LastIndexByte(line, '{')
	if i < 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimRight(line[i+1:len(line)-1], "+")), 10, 40)
	return n, err == nil && n >= 0
}

// command takes a client's line.
func (s *stream) command(c *dissector.Context, line []byte) {
	if s.tokens {
		s.login.Text(c, line, true)
		return
	}
	if s.idle {
		s.idle = false
		if bytes.EqualFold(line, []byte("DONE")) {
			return
		}
	}
	word, rest, ok := bytes.Cut(line, []byte(" "))
	if len(line) == 0 {
		return
	}
	if !ok || len(word) > maxTag {
		c.Count("imap_malformed")
		return
	}
	x := command{verb: verb(rest)}
	copy(x.tag[:], word)
	_, args, _ := bytes.Cut(rest, []byte(" "))
	switch x.verb {
	case "LOGIN":
		name, _, _ := bytes.Cut(args, []byte(" "))
		if _, lit := literal(name); !lit {
			x.account = dissector.Account(bytes.Trim(name, `"`))
		}
	case "AUTHENTICATE":
		name, first, _ := bytes.Cut(args, []byte(" "))
		s.login.Begin(name)
		s.tokens = true
		if len(first) > 0 {
			s.login.Text(c, first, true)
		}
	case "IDLE":
		s.idle = true
	case "ID":
		s.id(c, args, "client")
	}
	s.session.Count(cmp.Or(x.verb, "other"))
	if x.verb == "" {
		return
	}
	if len(s.pending) == maxPending {
		s.pending = slices.Delete(s.pending, 0, 1)
		c.Count("imap_commands_skipped")
	}
	s.pending = append(s.pending, x)
}

// reply takes a line of the server: untagged, a wish for more, or an answer.
func (s *stream) reply(c *dissector.Context, line []byte) {
	word, rest, _ := bytes.Cut(line, []byte(" "))
	switch string(word) {
	case "*":
		switch {
		case !s.greeted:
			s.greeted = true
			s.greet(c, rest)
		case bytes.HasPrefix(rest, []byte("ID (")):
			s.id(c, rest[3:], "server")
		}
		return
	case "+":
		if s.login.Active() {
			s.login.Text(c, rest, false)
		}
		return
	}
	outcome := status(rest)
	if outcome == "" || len(word) > maxTag {
		return
	}
	s.greeted = true
	var t [maxTag]byte
	copy(t[:], word)
	i := slices.IndexFunc(s.pending, func(x command) bool { return x.tag == t })
	if i < 0 {
		return
	}
	x := s.pending[i]
	s.pending = slices.Delete(s.pending, i, i+1)
	s.answer(c, x, outcome)
}

func (s *stream) answer(c *dissector.Context, x command, outcome string) {
	switch x.verb {
	case "LOGIN":
		s.session.Login(c, x.account, outcome, func(a *proto.Attributes) {
			a.Set("account", x.account)
			a.Set("cleartext_credential", "user_pass")
		})
	case "AUTHENTICATE":
		s.tokens = false
		if s.login.Active() {
			s.session.Login(c, s.login.Key(), outcome, s.login.Set)
			s.login.End()
		}
	case "STARTTLS":
		s.session.TLS = s.session.TLS || outcome == "success"
	}
}

// greet tells of the greeting: "OK [CAPABILITY ...] Dovecot ready."
func (s *stream) greet(c *dissector.Context, text []byte) {
	f := dissector.Fact{Kind: "banner", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	if bytes.HasPrefix(text, []byte("BYE")) {
		a.Set("outcome", "refused")
	}
	if i := bytes.IndexByte(text, '['); i >= 0 {
		if j := bytes.IndexByte(text, ']'); j > i {
			text = append(bytes.Clone(text[:i]), text[j+1:]...)
		}
	}
	b := banner.Read(text)
	b.Set(a)
	for _, w := range bytes.Fields(text) {
		if h := banner.Host(w, false); h != "" && bytes.Count(w, []byte(".")) > 1 && b.Version != h {
			a.Set("hostname", h)
			break
		}
	}
	c.Emit(&f)
}

// fields of ID (RFC 2971 3.3) that tell of a program and its system.
var fields = map[string]string{"name": "software", "version": "software_version", "os": "os", "os-version": "os_version", "vendor": "manufacturer"}

// id reads ("name" "value" ...). Values that are literals are not read.
func (s *stream) id(c *dissector.Context, b []byte, role string) {
	f := dissector.Fact{Kind: "id", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", role)
	part := bytes.Split(b, []byte(`"`))
	for i := 1; i+2 < len(part); i += 4 { // ( "name" "value" "name" "value" )
		if attribute := fields[string(bytes.ToLower(part[i]))]; attribute != "" && bytes.IndexByte(part[i+2], '@') < 0 {
			a.Set(attribute, dissector.Text(part[i+2], maxValue))
		}
	}
	if len(*a) > 1 && s.session.News("id "+strconv.Itoa(s.ids)) {
		s.ids++
		c.Emit(&f)
	}
}

// Over sums the connection up.
func (s *stream) Over(c *dissector.Context) {
	for _, x := range s.pending {
		if x.verb == "LOGIN" || x.verb == "AUTHENTICATE" {
			s.answer(c, x, "unknown")
		}
	}
	s.session.Tell(c)
}
