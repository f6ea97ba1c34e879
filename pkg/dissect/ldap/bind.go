package ldap

import (
	"bytes"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/ber"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/kerberos"
)

// Results of a bind (RFC 4511 4.1.9).
const (
	success    = 0
	inProgress = 14
)

// Ways to authenticate: context tags (RFC 4511 4.2, MS-ADTS 5.1.1.1.3).
const (
	authSimple  = 0
	authSASL    = 3
	sicilyFirst = 9 // package discovery
	sicilyLast  = 11
)

// bindRequest reads { version, name, [0] password or [3] { mechanism, credentials } }.
func (s *stream) bindRequest(c *dissector.Context, b []byte) {
	_, rest, ok := ber.Next(b) // the version
	if !ok {
		return
	}
	name, rest, ok := ber.Next(rest)
	if !ok {
		return
	}
	auth, n, length, ok := ber.Header(rest)
	if !ok || n == 0 || auth.Class != ber.Context {
		return
	}
	auth.Body = rest[n:][:min(int64(len(rest)-n), length)]
	going := s.bind.open && s.bind.method != "simple" // the next step of one
	s.bind.open = true
	switch {
	case auth.Tag == authSimple:
		s.bind = bind{open: true, method: "simple", secret: len(auth.Body) > 0, account: account(name.Body)}
		if len(name.Body) == 0 {
			s.bind.account = "anonymous"
		}
	case auth.Tag == authSASL:
		mechanism, token, ok := ber.Next(auth.Body)
		if !ok {
			return
		}
		if !going || s.bind.method != "sasl" {
			s.bind = bind{open: true, method: "sasl"}
			s.bind.sasl.Begin(mechanism.Body)
		}
		if v, n, _, ok := ber.Header(token); ok && n > 0 && v.Is(ber.Universal, ber.OctetString) {
			s.token(c, token[n:], true)
		}
	case auth.Tag >= sicilyFirst && auth.Tag <= sicilyLast:
		if !going || s.bind.method != "sicily" {
			s.bind = bind{open: true, method: "sicily"}
			s.bind.sasl.Begin([]byte("NTLM"))
		}
		s.token(c, auth.Body, true)
	default:
		s.bind.open = false
	}
}

// token takes what is inside of a SASL credential.
func (s *stream) token(c *dissector.Context, b []byte, client bool) {
	if m := kerberos.Find(b); m != nil {
		c.Sink.Inner("kerberos")
		kerberos.Emit(c, m)
	}
	s.bind.sasl.Token(c, b, client)
}

// bindResponse reads { result, name, message, ..., [7] credentials }.
func (s *stream) bindResponse(c *dissector.Context, b []byte) {
	result, rest, ok := ber.Next(b)
	if !ok {
		return
	}
	name, _, _ := ber.Next(rest)
	if s.bind.method == "sicily" { // its answers have the token in place of a name
		s.token(c, name.Body, false)
	}
	ber.Each(rest, func(v ber.Value) bool {
		if v.Is(ber.Context, 7) {
			s.token(c, v.Body, false)
		}
		return true
	})
	code, _ := result.Int()
	if !s.bind.open || code == inProgress {
		return
	}
	if s.bind.method == "sicily" && code == success && !s.bind.sasl.Last() { // each step of it ends in success
		return
	}
	outcome := "failure"
	if code == success {
		outcome = "success"
	}
	s.bound(c, outcome)
}

// bound tells of a bind once for each way in which it ends.
func (s *stream) bound(c *dissector.Context, outcome string) {
	x := &s.bind
	x.open = false
	s.logins++
	if outcome == "failure" {
		s.failed++
	}
	if !s.news("bind " + x.method + x.account + x.sasl.Key() + outcome + strconv.FormatBool(x.secret)) {
		return
	}
	f := dissector.Fact{Kind: "bind", Subject: dissector.Subject{Side: s.client}}
	a := &f.Attributes
	a.Set("role", "client")
	if x.method == "simple" {
		a.Set("mechanism", "simple")
		a.Set("account", x.account)
		if x.secret {
			a.Set("cleartext_credential", "bind")
		}
	} else {
		x.sasl.Set(a)
	}
	a.Set("outcome", outcome)
	c.Emit(&f)
}

// account is the kind of account that a name stands for: the value of its first part,
// "cn=admin,dc=example", or what stands behind a domain, or before one.
func account(name []byte) string {
	if len(name) > 512 {
		return "other"
	}
	if first, _, dn := bytes.Cut(name, []byte(",")); dn || bytes.IndexByte(first, '=') > 0 {
		_, value, _ := bytes.Cut(first, []byte("="))
		return dissector.Account(value)
	}
	if i := bytes.IndexByte(name, '\\'); i >= 0 {
		name = name[i+1:]
	}
	name, _, _ = bytes.Cut(name, []byte("@"))
	return dissector.Account(name)
}
