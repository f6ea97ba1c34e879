package ftp

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/lines"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
	"github.com/wardflow/wardflow/pkg/dissect/tunnel"
	"github.com/wardflow/wardflow/proto"
)

const (
	maxGreeting = 1024 // bytes of a greeting of several lines
	maxPending  = 16   // commands that wait for their reply
)

// verbs are the commands that are counted by name (RFC 959, 2228, 2389, 2428, 3659,
// 4217, 7151, and those of widespread use).
var verbs = []string{
	"ABOR", "ACCT", "ADAT", "ALLO", "APPE", "AUTH", "CCC", "CDUP", "CLNT", "CWD", "DELE", "EPRT", "EPSV", "FEAT", "HELP", "HOST", "LANG", "LIST", "MDTM", "MFMT", "MKD", "MLSD", "MLST",
	"MODE", "NLST", "NOOP", "OPTS", "PASS", "PASV", "PBSZ", "PORT", "PROT", "PWD", "QUIT", "REIN", "REST", "RETR", "RMD", "RNFR", "RNTO", "SITE", "SIZE", "SMNT", "STAT", "STOR", "STOU",
	"STRU", "SYST", "TYPE", "USER", "XCUP", "XCWD", "XMKD", "XPWD", "XRMD",
}

const other = -1

func verb(b []byte) int {
	var up [4]byte
	if len(b) > len(up) {
		return other
	}
	for i, x := range b {
		if x >= 'a' && x <= 'z' {
			x -= 'a' - 'A'
		}
		up[i] = x
	}
	if i, found := slices.BinarySearch(verbs, string(up[:len(b)])); found {
		return i
	}
	return other
}

// command is a command that waits for its reply.
type command struct {
	verb    int
	account string // of USER, and of the USER before PASS
}

// role is what a side's first line shows it to be: a client sends no codes.
type role uint8

const (
	undecided role = iota
	client
	server
)

// stream is one control connection.
type stream struct {
	conn    lines.Conn
	role    [2]role
	greeted bool
	text    []byte // of the greeting or of FEAT's list in hand
	multi   [3]byte
	inMulti bool

	pending []command
	counts  [64]uint16
	others  int
	account string         // of the last USER, "" before it
	tokens  *tunnel.Stream // what ADAT carries
	session lines.Session
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) { s.conn.Data(c, b, s) }

// Gap loses a line, and which reply belongs to which command.
func (s *stream) Gap(c *dissector.Context, n int64) { s.conn.Gap(c, n, s) }

// End says that a direction is over.
func (s *stream) End(c *dissector.Context) { s.conn.End(c, s) }

// Size is about the bytes that are kept.
func (s *stream) Size() int {
	n := 512 + s.conn.Size() + cap(s.text) + 32*cap(s.pending)
	if s.tokens != nil {
		n += s.tokens.Size()
	}
	return n
}

// Begins holds for a reply or a known command.
func (s *stream) Begins(b []byte) bool {
	if len(b) >= 4 && digit(b[0]) && digit(b[1]) && digit(b[2]) && (b[3] == ' ' || b[3] == '-') {
		return true
	}
	word, _, _ := bytes.Cut(b, []byte(" "))
	return verb(word) != other
}

// Lost forgets what was being waited for.
func (s *stream) Lost(c *dissector.Context) {
	s.pending, s.text, s.inMulti = s.pending[:0], nil, false
	if s.role[c.Side&1] != client {
		s.greeted = true
	}
	if s.tokens != nil {
		s.tokens.Gap(c, -1)
	}
}

// token reads a piece of the security exchange of RFC 2228, "ADAT base64" of a client and
// "335 ADAT=base64" of a server: with GridFTP, whose GSSAPI is the grid's, it is TLS
// between the two. Of a long line the beginning is there, which has a server's hello and
// most often its certificate.
func (s *stream) token(c *dissector.Context, b []byte, long bool) {
	var room [lines.Max]byte
	if s.tokens == nil {
		s.tokens = tunnel.New("", dissector.Other, &tls.Protocol)
	}
	if long {
		b = b[:len(b)&^3]
	}
	n, _ := base64.StdEncoding.Decode(room[:], b) // of damaged ones what stands before
	s.tokens.Data(c, room[:n])
	clear(room[:])
	if long {
		s.tokens.Gap(c, -1)
	}
}

// Line takes a command or a line of a reply.
func (s *stream) Line(c *dissector.Context, line []byte, long bool) {
	coded := len(line) >= 3 && digit(line[0]) && digit(line[1]) && digit(line[2]) && (len(line) == 3 || line[3] == ' ' || line[3] == '-')
	is := &s.role[c.Side&1]
	if *is == undecided {
		if *is = client; coded {
			*is = server
		}
	}
	if b, carries := bytes.CutPrefix(line[min(len(line), 4):], []byte("ADAT=")); carries && coded && *is == server {
		s.token(c, b, long)
	} else if b, carries := bytes.CutPrefix(line, []byte("ADAT ")); carries && *is == client {
		s.token(c, bytes.TrimSpace(b), long)
	}
	switch {
	case *is == server:
		s.reply(c, line, coded)
	case len(line) == 0:
	case long:
		c.Count("ftp_line_long")
	default:
		s.command(c, line)
	}
}

// command takes a client's line.
func (s *stream) command(c *dissector.Context, line []byte) {
	// Commands may come behind a telnet interrupt (RFC 959 4.1.3, ABOR).
	line = bytes.TrimLeft(line, "\xff\xf4\xf2 ")
	word, rest, _ := bytes.Cut(line, []byte(" "))
	v := verb(word)
	s.session.Client = c.Side
	x := command{verb: v, account: s.account}
	if v == other {
		s.others++
	} else {
		if s.counts[v] < 1<<16-1 {
			s.counts[v]++
		}
		switch verbs[v] {
		case "USER":
			x.account = dissector.Account(rest)
			s.account = x.account
		case "PORT":
			if a, p, ok := hostPort(rest); ok {
				announce(c, a, p)
			}
		case "EPRT":
			if a, p, ok := extendedPort(bytes.TrimSpace(rest)); ok {
				announce(c, a, p)
			}
		}
	}
	if len(s.pending) == maxPending {
		s.pending = slices.Delete(s.pending, 0, 1)
		c.Count("ftp_commands_skipped")
	}
	s.pending = append(s.pending, x)
}

// reply takes a server's line. A reply of several lines ends with one that has
// the same code and a space (RFC 959 4.2).
func (s *stream) reply(c *dissector.Context, line []byte, coded bool) {
	switch {
	case s.inMulti:
		s.keep(line)
		if !coded || [3]byte(line) != s.multi || len(line) > 3 && line[3] == '-' {
			return
		}
		s.inMulti = false
	case !coded:
		if len(line) > 0 {
			c.Count("ftp_malformed")
		}
		return
	default:
		s.text = s.text[:0]
		s.keep(line[3:])
		if len(line) > 3 && line[3] == '-' {
			s.inMulti, s.multi = true, [3]byte(line)
			return
		}
	}
	code := int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	switch code {
	case 227:
		if a, p, ok := passive(line[3:]); ok {
			announce(c, a, p)
		}
	case 229:
		if _, rest, ok := bytes.Cut(line, []byte("(")); ok {
			if a, p, ok := extendedPort(rest); ok {
				announce(c, a, p)
			}
		}
	}
	if !s.greeted && (code == 220 || code/100 == 4 || code == 120) {
		s.greeted = code != 120
		s.greet(c, code)
		return
	}
	s.greeted = true
	if code/100 == 1 || len(s.pending) == 0 { // the end of it is still to come, or nobody asked
		return
	}
	x := s.pending[0]
	s.pending = slices.Delete(s.pending, 0, 1)
	s.answer(c, x, code)
}

// keep adds a line to the text in hand.
func (s *stream) keep(line []byte) {
	if room := maxGreeting - len(s.text) - 1; room > 0 {
		s.text = append(append(s.text, line[:min(len(line), room)]...), '\n')
	}
}

// greet tells of the server's greeting.
func (s *stream) greet(c *dissector.Context, code int) {
	f := dissector.Fact{Kind: "banner", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	if code/100 == 4 {
		a.Set("outcome", "refused")
	}
	text := bytes.TrimLeft(s.text, " -")
	b := banner.Read(text)
	b.Set(a)
	// "name FTP server (...) ready."
	if word, rest, ok := bytes.Cut(text, []byte(" ")); ok && bytes.Contains(bytes.ToLower(rest[:min(len(rest), 40)]), []byte("ftp")) {
		a.Set("hostname", banner.Host(word, false))
	}
	c.Emit(&f)
}

// answer acts on the last line of a reply to x.
func (s *stream) answer(c *dissector.Context, x command, code int) {
	if x.verb == other {
		return
	}
	switch name := verbs[x.verb]; {
	case name == "USER" && (code == 230 || code == 232):
		s.login(c, x, "", "success")
	case name == "USER" && code/100 == 5, name == "USER" && code/100 == 4:
		s.login(c, x, "", "failure")
	case name == "PASS" && code/100 == 2:
		s.login(c, x, "user_pass", "success")
	case name == "PASS" && code/100 >= 4:
		s.login(c, x, "user_pass", "failure")
	case name == "PASS":
		s.login(c, x, "user_pass", "unknown") // an account is wanted besides
	case name == "AUTH" && code/100 == 2:
		s.session.TLS = true
	case name == "SYST" && code == 215:
		s.system(c)
	case name == "FEAT" && code == 211:
		s.features(c)
	}
}

// login tells of a login once for each way in which it ends.
func (s *stream) login(c *dissector.Context, x command, credential, outcome string) {
	s.session.Login(c, credential+x.account, outcome, func(a *proto.Attributes) {
		a.Set("cleartext_credential", credential)
		a.Set("account", x.account)
	})
}

// system tells the first word of SYST's answer, if it is a system's name.
func (s *stream) system(c *dissector.Context) {
	text := bytes.TrimLeft(s.text, " -")
	f := dissector.Fact{Kind: "system", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	b := banner.Read(text)
	if word, _, _ := bytes.Cut(text, []byte(" ")); b.OS == "" && bytes.EqualFold(word, []byte("UNIX")) {
		b.OS = "UNIX"
	}
	b.Set(a)
	if len(*a) > 1 {
		c.Emit(&f)
	}
}

// Features that are told by name: those that say how old or how safe a server is.
var features = []string{"AUTH TLS", "AUTH SSL", "CLNT", "EPRT", "EPSV", "HOST", "LANG", "MDTM", "MFF", "MFMT", "MLSD", "MLST", "PBSZ", "PROT", "REST STREAM", "SIZE", "TVFS", "UTF8", "XCRC", "XMD5", "XSHA1"}

func (s *stream) features(c *dissector.Context) {
	var list []string
	for _, line := range bytes.Split(bytes.ToUpper(s.text), []byte("\n")) {
		line = bytes.TrimSpace(line)
		for _, name := range features {
			rest, ok := bytes.CutPrefix(line, []byte(name))
			if ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == ';') && !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	if len(list) == 0 {
		return
	}
	f := dissector.Fact{Kind: "features", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "server")
	f.Attributes.SetList("features", list)
	c.Emit(&f)
}

// Over sums the connection up. A password whose reply was not seen was shown all
// the same.
func (s *stream) Over(c *dissector.Context) {
	for _, x := range s.pending {
		if x.verb != other && verbs[x.verb] == "PASS" {
			s.login(c, x, "user_pass", "unknown")
		}
	}
	s.pending = nil
	var list []string
	for i, n := range s.counts {
		if n > 0 {
			list = append(list, verbs[i]+":"+strconv.Itoa(int(n)))
		}
	}
	if s.others > 0 {
		list = append(list, "other:"+strconv.Itoa(s.others))
	}
	s.session.TellCommands(c, list)
}
