package telnet

import (
	"bytes"
	"slices"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

const (
	maxLine     = 256     // bytes of a server's line that are kept
	maxText     = 1 << 10 // bytes before the first prompt that are kept
	maxName     = 17      // of what is typed as a name: enough to know the accounts that are known
	maxSub      = 64      // bytes of a subnegotiation that are kept
	maxRead     = 64 << 10
	maxLogins   = 8
	maxOptions  = 32
	optTerminal = 24
)

// state is where a direction is in a command.
type state uint8

const (
	inText state = iota
	afterIAC
	afterVerb // the option follows
	inSub
	inSubIAC
)

// half is one direction.
type half struct {
	state   state
	verb    byte
	sub     []byte // option and parameters
	offers  []byte // options of WILL and DO, each once
	texts   int    // bytes of text
	escapes uint8  // 1 after ESC, 2 in a control sequence
}

// stream is one connection.
type stream struct {
	half     [2]half
	client   dissector.Side
	known    bool   // who is the client
	text     []byte // of the server, before the first prompt
	line     []byte // of the server, in hand
	terminal string

	told    bool
	stage   stage
	typed   []byte // of a name, at most maxName
	account string
	named   bool
	logins  int
	said    []string
	ended   [2]bool
	over    bool
}

// stage is where the login is.
type stage uint8

const (
	before   stage = iota // nothing was asked
	name                  // it was asked for a name
	secret                // ... for a password
	verdict               // the password is entered
	loggedIn              // it is over
)

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	if !s.known {
		s.whoIsWho(c)
	}
	h := &s.half[c.Side&1]
	for _, x := range b {
		if s.over {
			return
		}
		switch h.state {
		case inText:
			if x == iac {
				h.state = afterIAC
			} else {
				s.character(c, h, x)
			}
		case afterIAC:
			switch {
			case x == iac:
				h.state = inText
			case x == sb:
				h.state, h.sub = inSub, h.sub[:0]
			case x >= will:
				h.state, h.verb = afterVerb, x
			default:
				h.state = inText
			}
		case afterVerb:
			h.state = inText
			s.option(h, x)
		case inSub:
			if x == iac {
				h.state = inSubIAC
			} else if len(h.sub) < maxSub {
				h.sub = append(h.sub, x)
			}
		case inSubIAC:
			if x == se {
				h.state = inText
				s.parameters(c, h)
			} else {
				h.state = inSub
			}
		}
	}
}

func (s *stream) option(h *half, x byte) {
	if (h.verb == will || h.verb == do) && options[x] != "" && len(h.offers) < maxOptions && bytes.IndexByte(h.offers, x) < 0 {
		h.offers = append(h.offers, x)
	}
}

// parameters takes a subnegotiation. TERMINAL-TYPE IS (RFC 1091) is the client's.
func (s *stream) parameters(c *dissector.Context, h *half) {
	if len(h.sub) < 3 || h.sub[0] != optTerminal || h.sub[1] != 0 {
		return
	}
	s.client = c.Side
	if s.terminal == "" {
		s.terminal = terminal(h.sub[2:])
	}
}

// terminal is a terminal's name: letters, digits and a few signs (RFC 1091).
func terminal(b []byte) string {
	const longest = 40
	for _, x := range b {
		if !letter(x|0x20) && bytes.IndexByte([]byte("-_/.+"), x) < 0 {
			return ""
		}
	}
	return dissector.Text(bytes.ToLower(b), longest)
}

// character takes a byte of text.
func (s *stream) character(c *dissector.Context, h *half, x byte) {
	if h.texts++; h.texts > maxRead {
		s.finish(c)
		return
	}
	if s.isServer(c.Side) {
		s.server(c, h, x)
	} else {
		s.typing(c, x)
	}
}

// whoIsWho: who was dialled is the server, unless the capture began later and the
// ports say otherwise, or one side has told its terminal.
func (s *stream) whoIsWho(c *dissector.Context) {
	s.known, s.client = true, dissector.Src
	if h := c.Headers; h.SrcPort == 23 && h.DstPort != 23 && c.Side == dissector.Src || h.DstPort == 23 && h.SrcPort != 23 && c.Side == dissector.Dst {
		s.client = dissector.Dst
	}
}

func (s *stream) isServer(side dissector.Side) bool { return side != s.client }

// server takes a byte that the server writes.
func (s *stream) server(c *dissector.Context, h *half, x byte) {
	switch { // control sequences of terminals (ECMA-48)
	case x == 27:
		h.escapes = 1
		return
	case h.escapes == 1:
		if h.escapes = 0; x == '[' {
			h.escapes = 2
		}
		return
	case h.escapes == 2:
		if x >= '@' && x <= '~' {
			h.escapes = 0
		}
		return
	}
	if s.stage == before && len(s.text) < maxText {
		s.text = append(s.text, x)
	}
	if x == '\r' || x == '\n' || x == 0 {
		if s.stage == verdict && len(s.line) > 0 {
			s.judge(c, s.line, false)
		}
		s.line = s.line[:0]
		return
	}
	if len(s.line) < maxLine {
		s.line = append(s.line, x)
	}
	if s.stage == verdict && (x == ' ' || x == '>' || x == '#' || x == '$' || x == ':' || x == '%') {
		s.judge(c, s.line, true)
	}
}

// typing takes a byte that the client types. What the server's line asks for when
// the first one comes decides what it is.
func (s *stream) typing(c *dissector.Context, x byte) {
	switch s.stage {
	case before, name, secret:
		if asked := prompt(s.line); asked != noPrompt {
			s.begin(c)
			if s.line = s.line[:0]; asked == forPassword {
				s.stage = secret
			} else {
				s.stage, s.typed, s.account, s.named = name, s.typed[:0], "", true
			}
		}
	case verdict, loggedIn:
		return
	}
	end := x == '\r' || x == '\n'
	switch s.stage {
	case name:
		switch {
		case end && len(s.typed) > 0:
			s.account = dissector.Account(s.typed)
			clear(s.typed)
			s.typed = s.typed[:0]
		case end:
			if s.account == "" {
				s.account = "empty"
			}
		case x == 8 || x == 127:
			s.typed = s.typed[:max(0, len(s.typed)-1)]
		case x >= ' ' && len(s.typed) < maxName:
			s.typed = append(s.typed, x)
		}
	case secret:
		if end {
			s.stage = verdict
			s.line = s.line[:0]
		}
	}
}

// begin tells what is known when the first prompt is answered.
func (s *stream) begin(c *dissector.Context) {
	if s.told {
		return
	}
	s.told = true
	side := c.Side
	client := s.client
	c.Side = client.Peer()
	s.banner(c)
	for _, of := range []dissector.Side{client.Peer(), client} {
		f := dissector.Fact{Kind: "negotiation", Subject: dissector.Subject{Side: of}}
		a := &f.Attributes
		role := "server"
		if of == client {
			role = "client"
			a.Set("terminal_type", s.terminal)
		}
		a.SetList("options", names(s.half[of&1].offers))
		if len(*a) > 0 {
			a.Set("role", role)
			c.Emit(&f)
		}
	}
	c.Side = side
	s.text = nil
}

func names(list []byte) []string {
	var out []string
	for _, x := range slices.Sorted(slices.Values(list)) {
		out = append(out, options[x])
	}
	return out
}

// notHosts stand before "login:" and are no host's name.
var notHosts = []string{"please", "user", "your", "enter", "the", "system", "account", "to", "first", "last", "router", "switch", "linux", "busybox"}

// banner tells what stood before the first prompt, and the name in "name login:".
func (s *stream) banner(c *dissector.Context) {
	f := dissector.Fact{Kind: "banner", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	b := banner.Read(s.text)
	b.Set(a)
	if word, rest, ok := bytes.Cut(bytes.TrimSpace(s.line), []byte(" ")); ok && bytes.EqualFold(bytes.TrimSpace(rest), []byte("login:")) {
		if host := banner.Host(word, true); !slices.Contains(notHosts, host) {
			a.Set("hostname", host)
		}
	}
	if len(*a) > 0 {
		a.Set("role", "server")
		c.Emit(&f)
	}
}

// failures are words in what a server writes when it refuses somebody.
var failures = [][]byte{
	[]byte("incorrect"), []byte("fail"), []byte("invalid"), []byte("denied"), []byte("bad "), []byte("wrong"), []byte("refused"), []byte("not authorized"), []byte("error"), []byte("no such"),
}

// judge looks at a line that follows the password: a refusal, another prompt, or the
// prompt of a shell.
func (s *stream) judge(c *dissector.Context, line []byte, open bool) {
	low := bytes.ToLower(line)
	for _, w := range failures {
		if bytes.Contains(low, w) {
			s.login(c, "failure")
			s.stage = before
			return
		}
	}
	switch asked := prompt(line); {
	case open && asked == noPrompt && shell(line), !open && (bytes.HasPrefix(low, []byte("last login")) || bytes.HasPrefix(low, []byte("welcome"))):
		s.login(c, "success")
		s.stage = loggedIn
		s.finish(c)
	case open && asked != noPrompt:
		s.login(c, "failure")
		s.stage = before
	}
}

// shell holds for a prompt: a word or two, and one of its usual signs at the end.
func shell(line []byte) bool {
	line = bytes.TrimRight(line, " ")
	if len(line) == 0 || len(line) > 80 || bytes.Count(line, []byte(" ")) > 2 {
		return false
	}
	return bytes.IndexByte([]byte("#$>%"), line[len(line)-1]) >= 0
}

// login tells of a login once for each way in which it ends.
func (s *stream) login(c *dissector.Context, outcome string) {
	s.logins++
	account := s.account
	if !s.named {
		account = ""
	}
	if key := account + outcome; slices.Contains(s.said, key) {
		return
	} else if len(s.said) < maxLogins {
		s.said = append(s.said, key)
	} else {
		return
	}
	f := dissector.Fact{Kind: "login", Subject: dissector.Subject{Side: s.client}}
	a := &f.Attributes
	a.Set("role", "client")
	a.Set("cleartext_credential", "user_pass")
	a.Set("account", account)
	a.Set("outcome", outcome)
	c.Emit(&f)
}

// finish ends the reading.
func (s *stream) finish(c *dissector.Context) {
	if s.over {
		return
	}
	s.over = true
	s.begin(c)
	if s.stage == verdict {
		s.login(c, "unknown")
	}
	c.Sink.Done()
}

// Gap loses the command and the dialogue in hand.
func (s *stream) Gap(c *dissector.Context, _ int64) {
	h := &s.half[c.Side&1]
	h.state, h.escapes = inText, 0
	if s.isServer(c.Side) {
		s.line = s.line[:0]
	}
	clear(s.typed)
	s.typed, s.account, s.named = s.typed[:0], "", false
	if s.stage == name {
		s.stage = before
	}
}

// End tells what is left when both directions are over.
func (s *stream) End(c *dissector.Context) {
	s.ended[c.Side&1] = true
	if s.ended[0] && s.ended[1] {
		s.finish(c)
	}
}

// Size is about the bytes that are kept.
func (s *stream) Size() int {
	return 512 + cap(s.text) + cap(s.line) + cap(s.half[0].sub) + cap(s.half[1].sub)
}
