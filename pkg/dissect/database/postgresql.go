package database

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// PostgreSQL is the protocol of PostgreSQL, version 3 (PostgreSQL's documentation,
// chapter 55).
var PostgreSQL = dissector.Protocol{
	Name: "postgresql", Ports: []uint16{5432},
	Recognise: func(b []byte, _ bool) dissector.Verdict { return postgresql(b) },
	NewStream: func() dissector.Stream {
		t := new(pgTalk)
		s := &stream{talk: t}
		for side := range s.format {
			s.format[side] = &framing.Format{Keep: maxKept, Length: t.length}
		}
		return s
	},
}

// postgresql knows what a client begins with: a length and the number of protocol 3,
// or of a request for TLS, GSSAPI or cancellation (55.7).
func postgresql(b []byte) dissector.Verdict {
	if len(b) > 0 && b[0] != 0 {
		return dissector.No
	}
	if len(b) < 8 {
		return dissector.More
	}
	n := be32(b)
	switch be32(b[4:]) {
	case 80877103, 80877104:
		return yes(n == 8)
	case 80877102:
		return yes(n == 16)
	case 3 << 16, 3<<16 | 2:
		if n < 9 || n > 10000 {
			return dissector.No
		}
		return begins(b[8:], "user\x00", "database\x00", "application_name\x00", "client_encoding\x00", "replication\x00", "options\x00")
	}
	return dissector.No
}

// pgTalk is a connection: a server's answer to a request for TLS is one byte; the
// client's first messages have no kind before their length.
type pgTalk struct {
	tls       bool // or GSSAPI: asked for, and not answered yet
	gssapi    bool // that was asked for
	granted   bool // TLS follows
	started   bool
	clear     bool // the server wants the password in clear
	version   bool
	authTold  bool
	cleartext bool
}

func (t *pgTalk) upgraded() bool { return t.granted }

func (t *pgTalk) length(b []byte, lost bool) int {
	switch {
	case b[0] == 0:
		if len(b) < 4 {
			return 0
		}
		if n := be32(b); n >= 8 && n <= 10000 {
			return n
		}
		return -1
	case t.tls && (b[0] == 'S' || b[0] == 'N' || b[0] == 'G'):
		return 1
	case b[0] < 'A' || b[0] > 'z':
		return -1
	case len(b) < 5:
		return 0
	}
	n := be32(b[1:])
	if n < 4 || n > 1<<30 || lost && n > 1<<16 {
		return -1
	}
	return 1 + n
}

func (t *pgTalk) message(c *dissector.Context, b []byte) bool {
	switch {
	case len(b) == 1: // whether TLS follows
		t.tls = false
		if b[0] == 'G' || t.gssapi { // encrypted by Kerberos, or asked for that in vain
			return b[0] == 'G'
		}
		if b[0] == 'S' {
			f := fact(c, "server_greeting", "server")
			f.Attributes.Set("tls", "used")
			c.Emit(&f)
			c.Sink.Inner("tls")
			t.granted = true
			return false
		}
		f := fact(c, "server_greeting", "server")
		f.Attributes.Set("tls", "refused")
		c.Emit(&f)
		return false
	case b[0] == 0:
		return t.first(c, b)
	case b[0] == 'R' && len(b) >= 9:
		return t.authentication(c, be32(b[5:]))
	case b[0] == 'p' && t.clear && !t.cleartext:
		t.cleartext = true
		f := fact(c, "login", "client")
		f.Attributes.Set("cleartext_credential", "user_pass")
		c.Emit(&f)
	case b[0] == 'S' && !t.version:
		name, value, _ := bytes.Cut(b[5:], []byte{0})
		if string(name) == "server_version" {
			t.version = true
			f := fact(c, "server", "server")
			f.Attributes.Set("product", "PostgreSQL")
			f.Attributes.Set("software_version", dissector.Text(bytes.TrimRight(value, "\x00"), maxText))
			c.Emit(&f)
		}
	case b[0] == 'Z', b[0] == 'E', b[0] == 'Q', b[0] == 'P': // ready, refused, asked
		return true
	}
	return false
}

// first takes a message without kind: a request for TLS, or the start.
func (t *pgTalk) first(c *dissector.Context, b []byte) bool {
	switch be32(b[4:]) {
	case 80877103, 80877104:
		t.tls, t.gssapi = true, be32(b[4:]) == 80877104
		return false
	case 80877102:
		return true
	}
	f := fact(c, "login", "client")
	rest := b[8:]
	for len(rest) > 1 {
		var name, value []byte
		name, rest, _ = bytes.Cut(rest, []byte{0})
		value, rest, _ = bytes.Cut(rest, []byte{0})
		switch string(name) {
		case "user":
			f.Attributes.Set("account", account(string(value)))
		case "application_name":
			f.Attributes.Set("program", program(dissector.Text(value, maxText)))
		}
	}
	t.started = true
	c.Emit(&f)
	return false
}

// pgAuthentications are the ways to sign on (55.7, Authentication).
var pgAuthentications = map[int]string{2: "kerberos5", 3: "cleartext", 5: "md5", 7: "gssapi", 9: "sspi", 10: "sasl"}

func (t *pgTalk) authentication(c *dissector.Context, kind int) bool {
	name := pgAuthentications[kind]
	if kind == 0 && !t.authTold {
		name = "none"
	}
	if name == "" {
		return false
	}
	t.authTold, t.clear = true, t.clear || kind == 3
	f := fact(c, "authentication", "server")
	f.Attributes.Set("auth", name)
	c.Emit(&f)
	return false
}
