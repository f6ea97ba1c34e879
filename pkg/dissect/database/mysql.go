package database

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// MySQL is the protocol of MySQL and MariaDB (MySQL's documentation, client/server
// protocol).
var MySQL = dissector.Protocol{
	Name: "mysql", Ports: []uint16{3306},
	Recognise: func(b []byte, _ bool) dissector.Verdict { return mysql(b) },
	NewStream: func() dissector.Stream {
		return &stream{format: [2]*framing.Format{&mysqlFormat, &mysqlFormat}, talk: new(mysqlTalk)}
	},
}

// A packet: length (3), number (1), payload.
var mysqlFormat = framing.Format{Keep: maxKept, Length: func(b []byte, lost bool) int {
	if len(b) < 4 {
		return 0
	}
	if lost && (b[3] > 3 || le32(b)&0xffffff > 4096) {
		return -1
	}
	return 4 + le32(b)&0xffffff
}}

// mysql knows a server's greeting: length 3, number 0, protocol 10, the version
// until NUL, the connection's number, eight bytes of salt and a NUL.
func mysql(b []byte) dissector.Verdict {
	if len(b) > 3 && (b[3] != 0 || b[1] > 2) {
		return dissector.No
	}
	if len(b) < 7 {
		return dissector.More
	}
	n := le32(b) & 0xffffff
	if b[3] != 0 || n < 32 || n > 512 {
		return dissector.No
	}
	if b[4] == 0xff { // refused: error packet
		return yes(le16(b[5:]) >= 1000 && le16(b[5:]) < 5000 && n < 400)
	}
	if b[4] != 10 || b[5] < '0' || b[5] > '9' {
		return dissector.No
	}
	v, rest, found := bytes.Cut(b[5:], []byte{0})
	switch {
	case !printable(v) || len(v) > 80:
		return dissector.No
	case !found || len(rest) < 13:
		return dissector.More
	}
	return yes(rest[12] == 0 && bytes.IndexByte(v, '.') > 0)
}

// The capabilities that matter.
const (
	mysqlWithDB      = 0x00000008
	mysqlNew         = 0x00000200 // protocol 4.1
	mysqlTLS         = 0x00000800
	mysqlPlugin      = 0x00080000
	mysqlAttributes  = 0x00100000
	mysqlLongAnswers = 0x00200000
	mysqlSecure      = 0x00008000
)

type mysqlTalk struct{ greeted, asked, tls bool }

func (t *mysqlTalk) upgraded() bool { return t.tls }

func (t *mysqlTalk) message(c *dissector.Context, b []byte) bool {
	b = b[4:]
	switch {
	case len(b) == 0:
		return false
	case !t.greeted && (b[0] == 10 || b[0] == 0xff):
		t.greeted = true
		return t.greeting(c, b)
	case t.greeted && !t.asked:
		t.asked = true
		return t.login(c, b)
	}
	return true // what follows signs on, or asks
}

// greeting reads what the server says it is:
//
//	0 protocol 10   1 version until NUL, connection (4), salt (8), 0, capabilities (2), character set, status (2), capabilities (2), length of salt, 0 (10), salt, plugin
func (t *mysqlTalk) greeting(c *dissector.Context, b []byte) bool {
	f := fact(c, "server_greeting", "server")
	if b[0] == 0xff {
		f.Attributes.Set("refused", "true")
		c.Emit(&f)
		return true
	}
	v, rest, _ := bytes.Cut(b[1:], []byte{0})
	f.Attributes.Set("product", "MySQL")
	if bytes.Contains(v, []byte("MariaDB")) {
		f.Attributes.Set("product", "MariaDB")
		v = bytes.TrimPrefix(v, []byte("5.5.5-")) // put before its own version for old clients
	}
	f.Attributes.Set("software_version", dissector.Text(v, maxText))
	if len(rest) >= 20 {
		capabilities := le16(rest[13:]) | le16(rest[18:])<<16
		if capabilities&mysqlTLS != 0 {
			f.Attributes.Set("tls", "offered")
		} else {
			f.Attributes.Set("tls", "none")
		}
		if capabilities&mysqlPlugin != 0 && len(rest) > 31+12 {
			if i := 31 + max(13, int(rest[20])-8); i < len(rest) {
				name, _, _ := bytes.Cut(rest[i:], []byte{0})
				f.Attributes.Set("auth", plugin(name))
			}
		}
	}
	c.Emit(&f)
	return false
}

// plugin is the name of a way to sign on, made of letters, digits and underscores.
func plugin(b []byte) string {
	for _, x := range b {
		if x != '_' && (x < 'a' || x > 'z') && (x < '0' || x > '9') {
			return "other"
		}
	}
	return dissector.Text(b, 64)
}

// login reads who asks: of the name its kind, and what the client's program says of
// itself.
func (t *mysqlTalk) login(c *dissector.Context, b []byte) bool {
	if len(b) < 32 {
		return true
	}
	capabilities := le32(b)
	f := fact(c, "login", "client")
	if capabilities&mysqlTLS != 0 && len(b) == 32 {
		f.Attributes.Set("tls", "used")
		c.Sink.Inner("tls")
		c.Emit(&f)
		t.tls = true // the client's hello follows, and the server says nothing before its own
		return false
	}
	if capabilities&mysqlNew == 0 {
		return true
	}
	f.Attributes.Set("tls", "none")
	name, rest, ok := bytes.Cut(b[32:], []byte{0})
	if !ok {
		return true
	}
	f.Attributes.Set("account", account(string(name)))
	switch {
	case capabilities&(mysqlSecure|mysqlLongAnswers) != 0:
		if len(rest) == 0 || rest[0] > 250 || len(rest) < 1+int(rest[0]) {
			rest = nil
			break
		}
		rest = rest[1+int(rest[0]):]
	default:
		_, rest, _ = bytes.Cut(rest, []byte{0})
	}
	if capabilities&mysqlWithDB != 0 {
		_, rest, _ = bytes.Cut(rest, []byte{0})
	}
	if capabilities&mysqlPlugin != 0 {
		name, rest, _ = bytes.Cut(rest, []byte{0})
		f.Attributes.Set("auth", plugin(name))
		if string(name) == "mysql_clear_password" {
			f.Attributes.Set("cleartext_credential", "user_pass")
		}
	}
	if capabilities&mysqlAttributes != 0 {
		mysqlProgram(&f, rest)
	}
	c.Emit(&f)
	return true
}

// mysqlProgram reads a client's attributes: pairs of texts, each behind its length.
func mysqlProgram(f *dissector.Fact, b []byte) {
	text := func() []byte {
		if len(b) == 0 || b[0] > 250 || len(b) < 1+int(b[0]) {
			b = nil
			return nil
		}
		v := b[1 : 1+int(b[0])]
		b = b[1+int(b[0]):]
		return v
	}
	switch { // the length of all, in one byte or in two
	case len(b) > 3 && b[0] == 0xfc:
		b = b[3:]
	case len(b) > 0:
		b = b[1:]
	}
	for len(b) > 0 {
		name, value := string(text()), dissector.Text(text(), maxText)
		switch name {
		case "_client_name":
			f.Attributes.Set("library", value)
		case "_client_version":
			f.Attributes.Set("library_version", value)
		case "_os":
			f.Attributes.Set("os", value)
		case "program_name":
			f.Attributes.Set("program", program(value))
		}
	}
}
