package database

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
	"github.com/wardflow/wardflow/proto"
)

// TDS is the Tabular Data Stream of Microsoft's SQL Server (MS-TDS).
var TDS = dissector.Protocol{
	Name: "tds", Ports: []uint16{1433},
	Recognise: func(b []byte, _ bool) dissector.Verdict { return tds(b) },
	NewStream: func() dissector.Stream {
		return &stream{format: [2]*framing.Format{&tdsFormat, &tdsFormat}, talk: new(tdsTalk)}
	},
}

// A packet (2.2.3.1): kind, status, length (2), process (2), number, window 0.
const (
	tdsHeader   = 8
	tdsResult   = 0x04
	tdsLogin7   = 0x10
	tdsPrelogin = 0x12
)

var tdsFormat = framing.Format{Keep: maxKept, Length: func(b []byte, _ bool) int {
	if len(b) < tdsHeader {
		return 0
	}
	n := be16(b[2:])
	if n < tdsHeader || b[0] == 0 || b[0] > tdsPrelogin+5 {
		return -1
	}
	return n
}}

// tds knows a packet header with PRELOGIN, whose first token is VERSION, with LOGIN7,
// or with a server's tabular result in answer to one.
func tds(b []byte) dissector.Verdict {
	if len(b) > 0 && b[0] > 0x04 && b[0] != tdsPrelogin && b[0] != tdsLogin7 {
		return dissector.No
	}
	if len(b) < 9 {
		return dissector.More
	}
	n := be16(b[2:])
	if b[1] > 1 && b[1] != 9 || n < 9 || n > 32767 || b[7] > 1 || b[6] > 1 {
		return dissector.No
	}
	switch b[0] {
	case tdsPrelogin: // VERSION, its offset and its length of 6
		if len(b) < 14 {
			return dissector.More
		}
		return yes(b[8] == 0 && be16(b[9:]) >= 6 && be16(b[9:]) < n && be16(b[11:]) == 6)
	case tdsLogin7: // length, and a version of TDS 7
		if len(b) < 16 {
			return dissector.More
		}
		return yes(le32(b[8:]) >= 86 && le32(b[8:]) <= n+8 && b[15] >= 0x70 && b[15] <= 0x74)
	case tdsResult: // an answer to PRELOGIN, or LOGINACK, ERROR, INFO, ENVCHANGE
		if b[8] == 0 && len(b) < 13 {
			return dissector.More
		}
		return yes(b[8] == 0 && be16(b[9:]) < n && be16(b[11:]) == 6 || (b[8] == 0xad || b[8] == 0xe3) && n > 30 && b[4] == 0 || n == len(b) && b[7] == 0 && n >= 17 && tdsToken(b[8]))
	case 0x01, 0x03: // a batch, a call: ALL_HEADERS with the transaction's first
		if len(b) < 18 {
			return dissector.More
		}
		name := le16(b[8:]) // of a call without headers (TDS 7.1): length in characters, UTF-16
		return yes(le32(b[8:]) == 22 && le32(b[12:]) == 18 && le16(b[16:]) == 2 ||
			b[0] == 3 && (n == len(b) || len(b) == dissector.MaxPrefix && n > len(b)) && name > 1 && name <= 128 && 10+2*name < n && b[11]|b[13] == 0 && printable([]byte{b[10], b[12]}))
	case 0x02: // TDS 4 and 5: host name padded to 30
		return yes(n == 512 && b[1] == 0 && b[8] >= ' ' && len(b) > 38 && b[38] > 0 && b[38] <= 30)
	}
	return dissector.No
}

// tdsToken reports the tokens that an answer begins with: COLMETADATA, ERROR, INFO,
// RETURNSTATUS, DONE, DONEPROC, DONEINPROC (2.2.7).
func tdsToken(b byte) bool {
	switch b {
	case 0x81, 0xaa, 0xab, 0x79, 0xfd, 0xfe, 0xff:
		return true
	}
	return false
}

type tdsTalk struct {
	encrypted bool
	asked     bool             // somebody signed on
	tls       dissector.Stream // of the handshake within PRELOGIN packets
}

func (t *tdsTalk) size() int {
	if t.tls == nil {
		return 0
	}
	return t.tls.Size()
}

// handshake gives TLS what a packet has of it (3.2.5.1): its records may go over several
// packets. What follows them is in no packets; TLS has ended the reading before.
func (t *tdsTalk) handshake(c *dissector.Context, b []byte) {
	if t.tls == nil {
		t.tls = tls.Upgraded()
		c.Sink.Inner("tls")
	}
	t.tls.Data(c, b[tdsHeader:])
	if missing := be16(b[2:]) - len(b); missing > 0 {
		t.tls.Gap(c, int64(missing))
	}
}

func (t *tdsTalk) message(c *dissector.Context, b []byte) bool {
	kind, body := b[0], b[tdsHeader:]
	switch {
	case kind == tdsPrelogin && (t.tls != nil || len(body) > 0 && body[0] == 0x16), kind == tdsResult && t.tls != nil && !t.asked:
		t.handshake(c, b)
	case kind == tdsPrelogin, kind == tdsResult && !t.asked && len(body) > 0 && body[0] == 0:
		return t.prelogin(c, body)
	case kind == tdsLogin7:
		t.asked = true
		t.login(c, body)
	case kind == tdsResult:
		t.acknowledged(c, body)
		return true
	default:
		return true
	}
	return false
}

// encryptions are the values of ENCRYPTION (2.2.6.5).
var encryptions = [...]string{"login_only", "on", "not_supported", "required"}

// prelogin reads options: token, offset (2), length (2); version and encryption.
func (t *tdsTalk) prelogin(c *dissector.Context, b []byte) bool {
	role := "client"
	if c.Side == dissector.Dst {
		role = "server"
	}
	f := fact(c, "prelogin", role)
	for at := 0; at+5 <= len(b) && b[at] != 0xff; at += 5 {
		from, n := be16(b[at+1:]), be16(b[at+3:])
		if from+n > len(b) {
			c.Count("tds_malformed")
			return true
		}
		v := b[from : from+n]
		switch {
		case b[at] == 0 && n >= 4 && v[0] > 0:
			f.Attributes.Set("software_version", fmt.Sprintf("%d.%d.%d", v[0], v[1], be16(v[2:])))
		case b[at] == 1 && n >= 1 && int(v[0]) < len(encryptions):
			f.Attributes.Set("encryption", encryptions[v[0]])
		}
	}
	if role == "server" {
		f.Attributes.Set("product", "Microsoft SQL Server")
		if e := f.Attributes.Get("encryption"); e == "on" || e == "required" {
			t.encrypted = true
		}
	}
	c.Emit(&f)
	return false
}

// The fields of LOGIN7 (2.2.6.4): where their offset and length stand.
const (
	loginHost     = 36
	loginUser     = 40
	loginPassword = 44
	loginApp      = 48
	loginLibrary  = 60
	loginMAC      = 72
	loginFixed    = 94
)

// login reads who signs on: the computer, the program and its library. The password
// is only turned around, which is no secret.
func (t *tdsTalk) login(c *dissector.Context, b []byte) {
	if len(b) < loginFixed {
		c.Count("tds_malformed")
		return
	}
	field := func(at int) []byte {
		from, n := le16(b[at:]), 2*le16(b[at+2:])
		if from+n > len(b) {
			return nil
		}
		return wide(b[from : from+n])
	}
	f := fact(c, "login", "client")
	a := &f.Attributes
	a.Set("computer_name", dissector.Text(field(loginHost), maxText))
	a.Set("program", program(dissector.Text(field(loginApp), maxText)))
	a.Set("library", dissector.Text(field(loginLibrary), maxText))
	if mac := proto.MAC(b[loginMAC : loginMAC+6]); !mac.IsZero() {
		a.Set("mac", mac.String())
	}
	a.Set("tds_version", fmt.Sprintf("%d.%d", b[7]>>4, b[7]&15))
	user := string(field(loginUser))
	if b[25]&0x80 != 0 { // of the second flags: Windows' own login
		a.Set("auth", "integrated")
	} else {
		a.Set("auth", "sql")
		a.Set("account", account(user))
		if le16(b[loginPassword+2:]) > 0 {
			a.Set("cleartext_credential", "user_pass")
		}
	}
	if name := a.Get("computer_name"); user != "" && strings.EqualFold(name, user) {
		*a = slices.DeleteFunc(*a, func(x proto.Attribute) bool { return x.Name == "computer_name" })
		c.Count("tds_name_withheld")
	}
	c.Emit(&f)
}

// acknowledged reads LOGINACK (2.2.7.14) among the first tokens of an answer: the
// program's name and version.
func (t *tdsTalk) acknowledged(c *dissector.Context, b []byte) {
	for len(b) >= 3 {
		n := le16(b[1:])
		if len(b) < 3+n {
			return
		}
		v := b[3 : 3+n]
		switch b[0] {
		case 0xad:
			if len(v) < 6 || len(v) < 6+2*int(v[5])+4 {
				return
			}
			f := fact(c, "server", "server")
			end := 6 + 2*int(v[5])
			f.Attributes.Set("product", dissector.Text(wide(v[6:end]), maxText))
			f.Attributes.Set("software_version", fmt.Sprintf("%d.%d.%d", v[end], v[end+1], be16(v[end+2:])))
			c.Emit(&f)
			return
		case 0xe3, 0xab, 0xaa: // ENVCHANGE, INFO, ERROR
		default:
			return
		}
		b = b[3+n:]
	}
}
