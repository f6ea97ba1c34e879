package http

import (
	"bytes"
	"encoding/base64"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/kerberos"
	"github.com/wardflow/wardflow/pkg/dissect/ntlm"
)

// scheme is how somebody authenticates (IANA's HTTP Authentication Schemes).
type scheme uint8

const (
	noScheme scheme = iota
	basic
	digest
	bearer
	ntlmScheme
	negotiate
	otherScheme
)

var schemeNames = [...]string{"", "basic", "digest", "bearer", "ntlm", "negotiate", "other"}

// secret holds for the schemes that show whoever reads along what signs on: a password
// (RFC 7617 4), or a token that is as good as one (RFC 6750 5.2).
func (s scheme) secret() bool { return s == basic || s == bearer }

// split gives the scheme and what follows it.
func split(value []byte) (scheme, []byte) {
	word, rest, _ := bytes.Cut(value, []byte(" "))
	for i := basic; i < otherScheme; i++ {
		if equalFold(word, schemeNames[i]) {
			return i, bytes.TrimSpace(rest)
		}
	}
	return otherScheme, nil
}

// credentials reads an Authorization header: the scheme, the kind of account of
// Basic, the token of NTLM. Nothing else of it is kept. What a client sends in one of
// our flows it sends in clear: behind TLS nothing of it is read.
func (m *message) credentials(value []byte) {
	s, rest := split(value)
	if m.scheme == noScheme || s == basic {
		m.scheme = s // of two, to the server and to a proxy, the one that shows a password
	}
	switch s {
	case basic:
		m.account = kindOf(rest)
	case ntlmScheme, negotiate:
		keep(&m.token, rest, maxToken)
	}
}

// kindOf judges the name in "name:password" and forgets it.
func kindOf(encoded []byte) string {
	var room [96]byte
	// Of a long one the beginning tells enough: no known account is long.
	encoded = bytes.TrimRight(encoded, "=")
	encoded = encoded[:min(len(encoded), 128)]
	n, err := base64.RawStdEncoding.Decode(room[:], encoded)
	if err != nil && n == 0 {
		return "other"
	}
	name, _, _ := bytes.Cut(room[:n], []byte(":"))
	kind := dissector.Account(name)
	clear(room[:])
	return kind
}

// challenge reads a WWW-Authenticate header. Where there are several, Basic, which
// shows a password to everybody, counts most.
func (m *message) challenge(value []byte) {
	s, rest := split(value)
	if m.scheme == noScheme || s == basic {
		m.scheme = s
	}
	switch s {
	case basic, digest:
		if _, after, ok := bytes.Cut(rest, []byte(`realm="`)); ok {
			realm, _, _ := bytes.Cut(after, []byte(`"`))
			keep(&m.realm, realm, maxValue)
		}
	case ntlmScheme, negotiate:
		keep(&m.token, rest, maxToken)
	}
}

// token tells what an NTLM message in a header says.
func (m *message) tell(c *dissector.Context) {
	if len(m.token) == 0 {
		return
	}
	b, err := base64.StdEncoding.AppendDecode(nil, m.token)
	if err != nil {
		c.Count("http_token_malformed")
		return
	}
	if x := ntlm.Find(b); x != nil {
		c.Sink.Inner("ntlm")
		ntlm.Emit(c, x)
	} else if x := kerberos.Find(b); x != nil {
		c.Sink.Inner("kerberos")
		kerberos.Emit(c, x)
	}
}
