// Package remote recognises the remote commands of Berkeley's Unix, rsh and rlogin
// (RFC 1282) and rexec, and X11: old ways to work on another machine, all in clear. What
// is told is that they are used, as what kind of account, and what an X server calls
// itself. Names, passwords, cookies and commands never leave.
package remote

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// The protocols. They have little of their own, so that they are looked for at home only.
var (
	RSH   = dissector.Protocol{Name: "rsh", Ports: []uint16{514}, AtHome: true, Recognise: recogniseRSH, NewStream: func() dissector.Stream { return &stream{strings: 4, who: 2} }}
	Exec  = dissector.Protocol{Name: "rexec", Ports: []uint16{512}, AtHome: true, Recognise: recogniseRSH, NewStream: func() dissector.Stream { return &stream{strings: 4, who: 1, password: true} }}
	Login = dissector.Protocol{Name: "rlogin", Ports: []uint16{513}, AtHome: true, Recognise: recogniseLogin, NewStream: func() dissector.Stream { return &stream{strings: 4, who: 2, login: true} }}
)

const (
	maxString = 256
	maxStart  = 1 << 10
)

// recogniseRSH wants a port in digits and three texts, each with a NUL: the user here and
// the user there (of rexec the user and the password), and a command (rshd(8), rexecd(8)).
func recogniseRSH(b []byte, midstream bool) dissector.Verdict {
	if midstream {
		return dissector.No
	}
	port, rest, ok := bytes.Cut(b, []byte{0})
	switch {
	case len(port) > 5, len(bytes.Trim(port, "0123456789")) > 0, ok && len(port) == 0: // nothing before the NUL is rlogin's
		return dissector.No
	case !ok:
		return dissector.More
	}
	return texts(rest, func([]byte) bool { return true })
}

// recogniseLogin wants a NUL, and the user here, the user there, and the terminal with
// its speed: "xterm/38400".
func recogniseLogin(b []byte, midstream bool) dissector.Verdict {
	if midstream || len(b) > 0 && b[0] != 0 {
		return dissector.No
	}
	if len(b) < 2 {
		return dissector.More
	}
	return texts(b[1:], func(t []byte) bool {
		i := bytes.IndexByte(t, '/')
		return i > 0 && i+1 < len(t) && len(bytes.Trim(t[i+1:], "0123456789")) == 0
	})
}

// texts judges three texts, of which the last must be as last says.
func texts(b []byte, last func([]byte) bool) dissector.Verdict {
	for i := range 3 {
		t, rest, ok := bytes.Cut(b, []byte{0})
		for _, x := range t {
			if x < ' ' || x > '~' {
				return dissector.No
			}
		}
		switch {
		case len(t) > maxString:
			return dissector.No
		case !ok:
			return dissector.More
		case len(t) == 0, i == 2 && !last(t):
			return dissector.No
		}
		b = rest
	}
	return dissector.Yes
}

// stream reads the client's first texts.
type stream struct {
	buf      []byte
	strings  int  // how many there are
	who      int  // which of them names the account
	login    bool // the last is a terminal
	password bool // one is the password
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	if c.Side != dissector.Src {
		return
	}
	s.buf = append(s.buf, b[:min(len(b), maxStart-len(s.buf))]...)
	part := bytes.SplitN(s.buf, []byte{0}, s.strings+1)
	if len(part) <= s.strings && len(s.buf) < maxStart {
		return
	}
	f := dissector.Fact{Kind: "login", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "client")
	a.Set("legacy", "true")
	if len(part) > s.strings {
		a.Set("account", dissector.Account(part[s.who]))
		if s.login {
			name, _, _ := bytes.Cut(part[3], []byte("/"))
			if isWord(name) {
				a.Set("terminal_type", dissector.Text(bytes.ToLower(name), 40))
			}
		}
		if s.password {
			a.Set("cleartext_credential", "user_pass")
		}
	}
	clear(s.buf)
	s.buf = nil
	c.Emit(&f)
	c.Sink.Done()
}

// isWord holds for letters, digits and hyphens.
func isWord(b []byte) bool {
	for _, x := range b {
		if (x < '0' || x > '9') && (x|0x20 < 'a' || x|0x20 > 'z') && x != '-' {
			return false
		}
	}
	return len(b) > 0
}

// Gap loses the beginning.
func (s *stream) Gap(*dissector.Context, int64) { s.buf = nil }

// End has nothing to do.
func (s *stream) End(*dissector.Context) {}

// Size is about the bytes that are kept.
func (s *stream) Size() int { return 64 + cap(s.buf) }
