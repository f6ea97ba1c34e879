package smtp

import (
	"bytes"
	"slices"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/sasl"
)

// reply takes a line of a reply: "250-text" goes on, "250 text" is the last.
func (s *stream) reply(c *dissector.Context, line []byte) {
	if !coded(line) {
		if len(line) > 0 {
			c.Count("smtp_malformed")
		}
		return
	}
	if room := maxReply - len(s.text) - 1; room > 0 {
		s.text = append(append(s.text, line[min(4, len(line)):][:min(max(len(line)-4, 0), room)]...), '\n')
	}
	if len(line) > 3 && line[3] == '-' {
		return
	}
	code := int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	s.whole(c, code)
	s.text = s.text[:0]
}

// whole acts on a whole reply.
func (s *stream) whole(c *dissector.Context, code int) {
	if !s.greeted && (code == 220 || code == 554 || code/100 == 4) {
		s.greeted = true
		s.greet(c, code)
		return
	}
	s.greeted = true
	if len(s.pending) == 0 {
		return
	}
	v := s.pending[0]
	s.pending = slices.Delete(s.pending, 0, 1)
	switch {
	case v == ehlo && code == 250:
		s.features(c)
	case v == data && code == 354:
	case v == data && s.mode == headers:
		s.mode = commands // refused: no message follows
	case v == message && code/100 == 2, v == bdat && code == 250:
		s.accept(v)
	case v == starttls && code == 220:
		s.session.TLS = true
	case (v == auth || v == token) && code == 334:
		s.login.Text(c, bytes.TrimSpace(s.text), false)
		s.mode = tokens
	case (v == auth || v == token) && s.login.Active():
		outcome := "failure"
		if code/100 == 2 {
			outcome = "success"
		}
		s.loggedIn(c, outcome)
	}
}

// accept counts a message that was taken. Every chunk of a message is answered with
// 250; the last one is what counts.
func (s *stream) accept(v command) {
	if v == message || s.seen.accepted < s.seen.messages {
		s.seen.accepted++
	}
}

// greet tells of the server's greeting, whose first word is its name (RFC 5321 4.2).
func (s *stream) greet(c *dissector.Context, code int) {
	f := dissector.Fact{Kind: "banner", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	if code != 220 {
		a.Set("outcome", "refused")
	}
	b := banner.Read(s.text)
	b.Set(a)
	word, _, _ := bytes.Cut(s.text, []byte(" "))
	a.Set("hostname", banner.Host(bytes.TrimSpace(word), false))
	c.Emit(&f)
}

// keywords are the extensions that are told (IANA, SMTP Service Extensions).
var keywords = []string{
	"8BITMIME", "AUTH", "BINARYMIME", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "ETRN", "HELP", "PIPELINING", "SIZE", "SMTPUTF8", "STARTTLS", "TURN", "VRFY", "EXPN",
	"X-ANONYMOUSTLS", "X-EXPS", "XCLIENT", "XEXCH50", "X-LINK2STATE", "XRDST",
}

// features tells what the server can do, and its name again.
func (s *stream) features(c *dissector.Context) {
	var list, mechanisms []string
	first, rest, _ := bytes.Cut(s.text, []byte("\n"))
	for _, line := range bytes.Split(rest, []byte("\n")) {
		words := bytes.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '=' })
		if len(words) == 0 {
			continue
		}
		name := string(bytes.ToUpper(words[0]))
		if !slices.Contains(keywords, name) {
			continue
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
		if name == "AUTH" {
			for _, w := range words[1:] {
				if m := sasl.Mechanism(w); !slices.Contains(mechanisms, m) {
					mechanisms = append(mechanisms, m)
				}
			}
		}
	}
	word, _, _ := bytes.Cut(first, []byte(" "))
	host := banner.Host(word, false)
	if len(list) == 0 && host == "" || !s.session.News("features "+host) {
		return
	}
	f := dissector.Fact{Kind: "features", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	a.Set("hostname", host)
	a.SetList("features", list)
	a.SetList("mechanisms", mechanisms)
	c.Emit(&f)
}

// loggedIn tells of a login once for each way in which it ends.
func (s *stream) loggedIn(c *dissector.Context, outcome string) {
	s.session.Login(c, s.login.Key(), outcome, s.login.Set)
	s.login.End()
	s.mode = commands
}
