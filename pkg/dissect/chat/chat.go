// Package chat recognises IRC (RFC 1459, RFC 2812) and XMPP (RFC 6120). Of IRC it is told
// that a password was shown, of XMPP by which mechanism somebody logs in; what STARTTLS
// makes of an XMPP connection is pkg/dissect/tls's. Names, rooms and messages never leave.
package chat

import (
	"bytes"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/lines"
	"github.com/wardflow/wardflow/pkg/dissect/sasl"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
)

// IRC and XMPP.
var (
	IRC  = dissector.Protocol{Name: "irc", Ports: []uint16{6667}, Recognise: recogniseIRC, NewStream: func() dissector.Stream { return new(irc) }}
	XMPP = dissector.Protocol{Name: "xmpp", Ports: []uint16{5222, 5269}, Recognise: recogniseXMPP, NewStream: func() dissector.Stream { return new(xmpp) }}
)

const (
	maxFirst = 512 // bytes of a line of IRC
	maxLines = 64  // of a direction of IRC that are read
)

// recogniseIRC wants NICK and USER, in any order and perhaps behind PASS and CAP, or a
// server's numbered reply or notice.
func recogniseIRC(b []byte, _ bool) dissector.Verdict {
	if len(b) == 0 {
		return dissector.More
	}
	nick, user := false, false
	for {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		line = bytes.TrimRight(line, "\r")
		if len(line) > maxFirst || !printable(line) {
			return dissector.No
		}
		if !whole {
			if len(line) == 0 || begins(line) {
				return dissector.More
			}
			return dissector.No
		}
		part := bytes.Fields(line)
		if len(part) == 0 {
			return dissector.No
		}
		b = rest
		if line[0] == ':' {
			return numbered(part)
		}
		switch string(bytes.ToUpper(part[0])) {
		case "NICK":
			nick = len(part) >= 2 && len(part) <= 3
		case "USER":
			user = len(part) >= 5
		case "PASS", "CAP":
		default:
			return dissector.No
		}
		if nick && user {
			return dissector.Yes
		}
	}
}

func begins(b []byte) bool {
	if b[0] == ':' {
		return true
	}
	for _, v := range []string{"NICK ", "USER ", "PASS ", "CAP "} {
		n := min(len(b), len(v))
		if strings.EqualFold(string(b[:n]), v[:n]) {
			return true
		}
	}
	return false
}

// numbered holds for ":server 001 nick :text" and ":server NOTICE AUTH :text".
func numbered(part [][]byte) dissector.Verdict {
	if len(part) < 4 || bytes.IndexByte(part[0], '.') < 0 {
		return dissector.No
	}
	word := string(part[1])
	if word == "NOTICE" || len(word) == 3 && strings.Trim(word, "0123456789") == "" {
		return dissector.Yes
	}
	return dissector.No
}

func printable(b []byte) bool {
	for _, x := range b {
		if x < ' ' && x != 1 && x != 2 && x != 3 && x != 15 && x != 22 && x != 31 && x != '\t' || x == 0x7f {
			return false
		}
	}
	return true
}

// irc is one connection.
type irc struct {
	conn  lines.Conn
	lines [2]int
	told  bool
}

// Data reads the next bytes of a direction.
func (s *irc) Data(c *dissector.Context, b []byte) { s.conn.Data(c, b, s) }

// Gap loses a line.
func (s *irc) Gap(c *dissector.Context, n int64) { s.conn.Gap(c, n, s) }

// End says that a direction is over.
func (s *irc) End(c *dissector.Context) { s.conn.End(c, s) }

// Size is about the bytes that are kept.
func (s *irc) Size() int { return s.conn.Size() }

// Line looks for a password.
func (s *irc) Line(c *dissector.Context, line []byte, _ bool) {
	word, rest, _ := bytes.Cut(line, []byte(" "))
	if bytes.EqualFold(word, []byte("PASS")) && len(rest) > 0 && !s.told {
		s.told = true
		f := dissector.Fact{Kind: "login", Subject: dissector.Subject{Side: c.Side}}
		f.Attributes.Set("role", "client")
		f.Attributes.Set("cleartext_credential", "user_pass")
		c.Emit(&f)
	}
	if n := &s.lines[c.Side&1]; *n < maxLines {
		*n++
	} else {
		s.conn.Stop(c, s)
	}
}

// Begins holds for no line: one that follows a gap may be anybody's words.
func (*irc) Begins([]byte) bool { return false }

// Lost has nothing to forget.
func (*irc) Lost(*dissector.Context) {}

// Over has nothing to tell.
func (*irc) Over(*dissector.Context) {}

// recogniseXMPP wants the beginning of a stream (RFC 6120 4.2): an XML declaration
// perhaps, and <stream:stream with its namespace.
func recogniseXMPP(b []byte, midstream bool) dissector.Verdict {
	b = bytes.TrimLeft(b, " \r\n\t")
	if len(b) == 0 {
		return dissector.More
	}
	if midstream && stanza(b) {
		return dissector.Yes
	}
	const declaration, open = "<?xml", "<stream:stream"
	if n := min(len(b), len(declaration)); string(b[:n]) == declaration[:n] {
		i := bytes.IndexByte(b, '>')
		if i < 0 {
			return more(b)
		}
		if more(b[:i]) == dissector.No {
			return dissector.No
		}
		b = bytes.TrimLeft(b[i+1:], " \r\n\t")
	}
	n := min(len(b), len(open))
	if string(b[:n]) != open[:n] {
		return dissector.No
	}
	i := bytes.IndexByte(b, '>')
	if i < 0 {
		return more(b)
	}
	if more(b[:i]) == dissector.No || !bytes.Contains(b[:i], []byte("http://etherx.jabber.org/streams")) {
		return dissector.No
	}
	return dissector.Yes
}

// stanza holds for a tag of RFC 6120 8.1 with some of the attributes that it has.
func stanza(b []byte) bool {
	tag, _, ok := bytes.Cut(b, []byte(">"))
	if !ok || len(tag) > 512 || !printable(tag) {
		return false
	}
	if string(tag) == "</stream:stream" {
		return true
	}
	has := func(s string) bool { return bytes.Contains(tag, []byte(s)) }
	for _, name := range []string{"<iq ", "<message ", "<presence "} {
		if bytes.HasPrefix(tag, []byte(name)) {
			return has(" to=") && (has(" type=") || has(" from=") || name == "<presence ") || has(" type=") && has(" id=")
		}
	}
	return false
}

// more is No for what is too long for a tag, or no text.
func more(b []byte) dissector.Verdict {
	if len(b) > 900 || !printable(bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\n"), nil), []byte("\r"), nil)) {
		return dissector.No
	}
	return dissector.More
}

const (
	handshake = 22
	maxTag    = 1 << 10
	maxRead   = 64 << 10
)

// xmpp is one connection: tags are looked at as they end.
type xmpp struct {
	half [2]struct {
		tag  []byte
		read int
	}
	inTLS [2]bool
	tls   dissector.Stream
	told  []string
}

// Data reads the next bytes of a direction.
func (s *xmpp) Data(c *dissector.Context, b []byte) {
	side := c.Side & 1
	h := &s.half[side]
	for i := 0; i < len(b) && !s.inTLS[side]; i++ {
		if b[i] == handshake && len(h.tag) == 0 {
			if s.tls == nil {
				s.tls = tls.Upgraded()
			}
			s.inTLS[side] = true
			b = b[i:]
			break
		}
		switch x := b[i]; {
		case x == '>':
			s.element(c, h.tag)
			h.tag = h.tag[:0]
		case x == '<':
			h.tag = append(h.tag[:0], x)
		case len(h.tag) > 0 && len(h.tag) < maxTag:
			h.tag = append(h.tag, x)
		}
	}
	if s.inTLS[side] {
		s.tls.Data(c, b)
		return
	}
	if h.read += len(b); h.read > maxRead {
		c.Sink.Done()
	}
}

// element looks at a tag: <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'.
func (s *xmpp) element(c *dissector.Context, tag []byte) {
	if !bytes.HasPrefix(tag, []byte("<auth ")) {
		return
	}
	_, rest, ok := bytes.Cut(tag, []byte("mechanism="))
	if !ok || len(rest) < 2 {
		return
	}
	name, _, ok := bytes.Cut(rest[1:], rest[:1])
	if !ok {
		return
	}
	var x sasl.Exchange
	x.Begin(name)
	if slices.Contains(s.told, x.Mechanism) {
		return
	}
	s.told = append(s.told, x.Mechanism)
	f := dissector.Fact{Kind: "login", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "client")
	x.Set(&f.Attributes)
	c.Emit(&f)
}

// Gap loses a tag.
func (s *xmpp) Gap(c *dissector.Context, n int64) {
	if s.inTLS[c.Side&1] {
		s.tls.Gap(c, n)
		return
	}
	s.half[c.Side&1].tag = nil
}

// End tells TLS.
func (s *xmpp) End(c *dissector.Context) {
	if s.inTLS[c.Side&1] {
		s.tls.End(c)
	}
}

// Size is about the bytes that are kept.
func (s *xmpp) Size() int {
	n := 128 + cap(s.half[0].tag) + cap(s.half[1].tag)
	if s.tls != nil {
		n += s.tls.Size()
	}
	return n
}
