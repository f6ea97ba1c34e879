// Package sasl reads how somebody logs in with SASL (RFC 4422): by which mechanism,
// and whether that shows a secret to everybody on the way. SMTP, POP3, IMAP, LDAP,
// XMPP and AMQP have it inside.
//
// Of a token only the kind of account is told (PLAIN, LOGIN), and of NTLM's what
// pkg/dissect/ntlm tells. Names and secrets are looked at and forgotten.
package sasl

import (
	"bytes"
	"encoding/base64"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/ntlm"
	"github.com/wardflow/wardflow/proto"
)

// mechanisms are the registered ones (IANA, SASL Mechanisms) and Microsoft's.
var mechanisms = map[string]string{
	"PLAIN": "plain", "LOGIN": "login", "ANONYMOUS": "anonymous", "EXTERNAL": "external", "CRAM-MD5": "cram_md5", "DIGEST-MD5": "digest_md5",
	"NTLM": "ntlm", "GSSAPI": "gssapi", "GSS-SPNEGO": "spnego", "KERBEROS_V4": "kerberos_v4", "SCRAM-SHA-1": "scram_sha_1", "SCRAM-SHA-256": "scram_sha_256", "SCRAM-SHA-512": "scram_sha_512",
	"SCRAM-SHA-1-PLUS": "scram_sha_1", "SCRAM-SHA-256-PLUS": "scram_sha_256", "XOAUTH2": "xoauth2", "OAUTHBEARER": "oauthbearer", "XOAUTH": "xoauth2",
	"AMQPLAIN": "amqplain", "SKEY": "skey", "OTP": "otp", "SRP": "srp", "MSN": "ntlm", "SPNEGO": "spnego",
}

const maxName = 20

// Mechanism is the word for a mechanism's name; "other" for one that is not known.
func Mechanism(name []byte) string {
	if len(name) > maxName {
		return "other"
	}
	if m := mechanisms[string(bytes.ToUpper(name))]; m != "" {
		return m
	}
	return "other"
}

// Cleartext is the value of cleartext_credential for a mechanism without TLS, ""
// for those that show no secret.
func Cleartext(mechanism string) string {
	switch mechanism {
	case "plain", "login", "amqplain":
		return mechanism
	case "xoauth2", "oauthbearer":
		return "bearer"
	}
	return ""
}

// Legacy holds for mechanisms whose answers can be turned into the password by trying.
func Legacy(mechanism string) bool {
	return mechanism == "cram_md5" || mechanism == "digest_md5" || mechanism == "ntlm" || mechanism == "kerberos_v4"
}

// Exchange is one login.
type Exchange struct {
	Mechanism string
	account   string
	tokens    int // of the client
	last      bool
}

const maxToken = 6 << 10 // base64

// Begin begins a login by the mechanism of that name.
func (x *Exchange) Begin(name []byte) { *x = Exchange{Mechanism: Mechanism(name)} }

// Active holds during a login.
func (x *Exchange) Active() bool { return x.Mechanism != "" }

// Text takes a token in base64, of the client or of the server.
func (x *Exchange) Text(c *dissector.Context, line []byte, client bool) {
	line = bytes.TrimSpace(line)
	if len(line) > maxToken || len(line) == 0 || line[0] == '=' || line[0] == '*' {
		if client && len(line) > 0 {
			x.Token(c, nil, true)
		}
		return
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Decode(b, line)
	if err != nil {
		return
	}
	x.Token(c, b[:n], client)
	clear(b)
}

// Token takes a token.
func (x *Exchange) Token(c *dissector.Context, b []byte, client bool) {
	if m := ntlm.Find(b); m != nil {
		c.Sink.Inner("ntlm")
		x.last = ntlm.Emit(c, m)
	}
	if !client {
		return
	}
	x.tokens++
	switch x.Mechanism {
	case "plain": // [authorization] NUL name NUL password
		if part := bytes.SplitN(b, []byte{0}, 3); len(part) == 3 {
			x.account = dissector.Account(part[1])
		}
	case "login": // name, then password
		if x.tokens == 1 {
			x.account = dissector.Account(b)
		}
	case "anonymous":
		x.account = "anonymous"
	}
}

// Set sets what the login was.
func (x *Exchange) Set(a *proto.Attributes) {
	a.Set("mechanism", x.Mechanism)
	a.Set("cleartext_credential", Cleartext(x.Mechanism))
	a.Set("account", x.account)
	if Legacy(x.Mechanism) {
		a.Set("legacy", "true")
	}
}

// Last holds after the last message of NTLM.
func (x *Exchange) Last() bool { return x.last }

// Key tells logins of one connection apart.
func (x *Exchange) Key() string { return x.Mechanism + " " + x.account }

// End ends the login.
func (x *Exchange) End() { *x = Exchange{} }
