package smtp

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/lines"
	"github.com/wardflow/wardflow/pkg/dissect/sasl"
)

const (
	maxPending  = 64 // commands that wait for their reply: pipelines are long
	maxReply    = 2048
	maxAgent    = 128
	maxMessages = 1 << 16
)

// What a client's line is.
type command uint8

const (
	otherCommand command = iota
	helo
	ehlo
	mail
	rcpt
	data
	bdat
	auth
	starttls
	rset
	quit
	token   // of AUTH
	message // the dot that ends it
)

var verbs = map[string]command{
	"HELO": helo, "EHLO": ehlo, "LHLO": ehlo, "MAIL": mail, "RCPT": rcpt, "DATA": data, "BDAT": bdat, "AUTH": auth, "STARTTLS": starttls, "RSET": rset, "QUIT": quit,
	"VRFY": otherCommand, "EXPN": otherCommand, "NOOP": otherCommand, "HELP": otherCommand, "XCLIENT": otherCommand, "ETRN": otherCommand, "X-EXPS": auth,
}

// mode is what the client's next line is.
type mode uint8

const (
	commands mode = iota
	headers       // of a message
	body
	tokens // of a login
)

// stream is one connection.
type stream struct {
	conn    lines.Conn
	decided [2]bool
	server  [2]bool
	greeted bool
	text    []byte // of the reply in hand

	mode    mode
	chunks  lines.Reader // of the headers in chunks
	inside  bool         // ... they are over
	ended   bool         // the message in chunks is over
	pending []command
	login   sasl.Exchange

	seen    struct{ mail, rcpt, messages, accepted int }
	session lines.Session
	name    string // that the client told
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) { s.conn.Data(c, b, s) }

// Gap loses a line, and which reply belongs to which command.
func (s *stream) Gap(c *dissector.Context, n int64) {
	s.inside = true // of a message in chunks the headers may be over
	s.conn.Gap(c, n, s)
}

// End says that a direction is over.
func (s *stream) End(c *dissector.Context) { s.conn.End(c, s) }

// Size is about the bytes that are kept.
func (s *stream) Size() int {
	return 512 + s.conn.Size() + s.chunks.Size() + cap(s.text) + cap(s.pending)
}

// Begins holds for a reply, and for a command outside of a message.
func (s *stream) Begins(b []byte) bool {
	if coded(b) {
		return true
	}
	_, known := verb(b)
	return known && s.mode == commands
}

// Lost forgets what was being waited for.
func (s *stream) Lost(c *dissector.Context) {
	s.pending, s.text = s.pending[:0], s.text[:0]
	s.login.End()
	switch s.mode {
	case tokens:
		s.mode = commands
	case headers: // their end may be what is missing
		s.mode = body
	}
	if side := c.Side & 1; !s.decided[side] || s.server[side] {
		s.greeted = true
	}
}

// coded holds for the lines of replies: three digits, then nothing, a space or a
// hyphen.
func coded(b []byte) bool {
	return len(b) >= 3 && digit(b[0]) && digit(b[1]) && digit(b[2]) && (len(b) == 3 || b[3] == ' ' || b[3] == '-')
}

// verb gives a line's command.
func verb(b []byte) (command, bool) {
	word, _, _ := bytes.Cut(b, []byte(" "))
	if len(word) > 8 {
		return otherCommand, false
	}
	var up [8]byte
	for i, x := range word {
		if x >= 'a' && x <= 'z' {
			x -= 'a' - 'A'
		}
		up[i] = x
	}
	v, known := verbs[string(up[:len(word)])]
	return v, known
}

// Line takes a client's line, or one of a reply.
func (s *stream) Line(c *dissector.Context, line []byte, long bool) {
	side := c.Side & 1
	if !s.decided[side] {
		s.decided[side], s.server[side] = true, coded(line)
	}
	if s.server[side] {
		s.reply(c, line)
		return
	}
	s.session.Client = c.Side
	switch s.mode {
	case headers, body:
		s.content(c, line, long)
	case tokens:
		s.mode = commands // until the server wants another
		s.login.Text(c, line, true)
		s.wait(c, token)
	default:
		s.command(c, line)
	}
}

// content takes a line of a message, which a dot ends.
func (s *stream) content(c *dissector.Context, line []byte, long bool) {
	switch {
	case string(line) == ".":
		s.mode = commands
		s.seen.messages++
		s.wait(c, message)
	case s.mode == body || long:
	case len(line) == 0:
		s.mode = body
	default:
		s.field(c, line)
	}
}

// field takes a header of a message.
func (s *stream) field(c *dissector.Context, line []byte) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if ok && (bytes.EqualFold(name, []byte("X-Mailer")) || bytes.EqualFold(name, []byte("User-Agent"))) {
		s.agent(c, bytes.TrimSpace(value))
	}
}

// agent tells of the program that a message was written with.
func (s *stream) agent(c *dissector.Context, value []byte) {
	if bytes.IndexByte(value, '@') >= 0 {
		c.Count("smtp_agent_withheld")
		return
	}
	name := dissector.Text(value, maxAgent)
	if name == "" || !s.session.News("agent "+name) {
		return
	}
	f := dissector.Fact{Kind: "mail", Subject: dissector.Subject{Side: s.session.Client}}
	f.Attributes.Set("role", "client")
	f.Attributes.Set("user_agent", name)
	c.Emit(&f)
}

// command takes a client's command.
func (s *stream) command(c *dissector.Context, line []byte) {
	if len(line) == 0 {
		return
	}
	v, known := verb(line)
	if !known {
		if len(s.pending) == 0 && !s.login.Active() {
			c.Count("smtp_malformed")
		}
		v = otherCommand
	}
	_, rest, _ := bytes.Cut(line, []byte(" "))
	rest = bytes.TrimSpace(rest)
	switch v {
	case helo, ehlo:
		s.hello(c, rest, v)
	case mail:
		s.seen.mail++
	case rcpt:
		s.seen.rcpt++
	case data:
		s.mode = headers
	case bdat:
		s.chunk(c, rest)
	case auth:
		name, first, _ := bytes.Cut(rest, []byte(" "))
		s.login.Begin(name)
		if len(first) > 0 {
			s.login.Text(c, first, true)
		}
	}
	s.wait(c, v)
}

func (s *stream) wait(c *dissector.Context, v command) {
	if len(s.pending) == maxPending {
		s.pending = slices.Delete(s.pending, 0, 1)
		c.Count("smtp_commands_skipped")
	}
	s.pending = append(s.pending, v)
}

// hello tells the client's name. An address in its place tells nothing new.
func (s *stream) hello(c *dissector.Context, arg []byte, v command) {
	name, _, _ := bytes.Cut(arg, []byte(" "))
	host := banner.Host(name, true)
	key := host
	if v == helo {
		key = "helo " + host
	}
	if s.name == key && key != "" {
		return // again, after STARTTLS or a reset
	}
	s.name = key
	f := dissector.Fact{Kind: map[command]string{helo: "helo", ehlo: "ehlo"}[v], Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "client")
	f.Attributes.Set("hostname", host)
	c.Emit(&f)
}

// chunk steps over what BDAT announces (RFC 3030 2).
func (s *stream) chunk(c *dissector.Context, arg []byte) {
	size, last, _ := bytes.Cut(arg, []byte(" "))
	n, err := strconv.ParseInt(string(size), 10, 62)
	if err != nil || n < 0 {
		c.Count("smtp_malformed")
		return
	}
	if s.ended {
		s.chunks, s.inside, s.ended = lines.Reader{}, false, false
	}
	if bytes.EqualFold(bytes.TrimSpace(last), []byte("LAST")) {
		s.seen.messages++
		s.ended = true // with this chunk
	}
	s.conn.Half[c.Side&1].Skip(n)
}

// Skipped looks for headers in the chunks of a message.
func (s *stream) Skipped(c *dissector.Context, b []byte) {
	for !s.inside && len(b) > 0 {
		line, rest, ok := s.chunks.Next(b)
		if b = rest; !ok {
			return
		}
		if len(line.Text) == 0 {
			s.inside = true
		} else if !line.Long {
			s.field(c, line.Text)
		}
	}
}

// Over sums the connection up.
func (s *stream) Over(c *dissector.Context) {
	if s.login.Active() {
		s.loggedIn(c, "unknown")
	}
	if s.seen.mail+s.seen.messages+s.session.Logins() == 0 && !s.session.TLS {
		return
	}
	f := dissector.Fact{Kind: "session", Subject: dissector.Subject{Side: s.session.Client}}
	a := &f.Attributes
	a.Set("role", "client")
	a.Set("messages", strconv.Itoa(min(s.seen.messages, maxMessages)))
	a.Set("messages_accepted", strconv.Itoa(min(s.seen.accepted, maxMessages)))
	a.Set("recipients", strconv.Itoa(min(s.seen.rcpt, maxMessages)))
	s.session.Sum(a)
	c.Emit(&f)
}
