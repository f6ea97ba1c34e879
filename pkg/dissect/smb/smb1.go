package smb

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Parts of an SMB1 header (MS-CIFS 2.2.3.1):
//
//	ff "SMB" | command (1) | status (4) | flags (1) | flags2 (2) | ... to 32 | word count (1) | words | byte count (2) | bytes
const (
	header1        = 32
	offCommand1    = 4
	offStatus1     = 5
	offFlags1      = 9
	offFlags2      = 10
	flagReply      = 0x80
	flag2Unicode   = 0x8000
	flag2Extended  = 0x0800
	cmdNegotiate1  = 0x72
	cmdSetupAndX   = 0x73
	capExtended    = 0x80000000
	maxDialectName = 32
	maxString      = 128
)

// dialects are those that the client offered, for the answer is an index.
type dialects []string

func (d dialects) size() int { return len(d) * maxDialectName }

// version1 reads one message.
func (s *stream) version1(c *dissector.Context, m []byte) {
	if len(m) < header1+3 {
		c.Count("smb_malformed")
		return
	}
	reply := m[offFlags1]&flagReply != 0
	words := int(m[header1])
	at := header1 + 1 + 2*words
	if len(m) < at+2 {
		return // an error, or cut
	}
	x := message1{
		m: m, words: m[header1+1 : at], bytes: m[at+2:], at: at + 2,
		unicode: binary.LittleEndian.Uint16(m[offFlags2:])&flag2Unicode != 0,
	}
	x.bytes = x.bytes[:min(len(x.bytes), int(binary.LittleEndian.Uint16(m[at:])))]
	status := binary.LittleEndian.Uint32(m[offStatus1:])
	switch cmd := m[offCommand1]; {
	case cmd == cmdNegotiate1 && reply:
		s.negotiated1(c, &x)
	case cmd == cmdNegotiate1:
		s.negotiate1(c, &x)
	case cmd == cmdSetupAndX && reply:
		s.setupReply(c, &x)
		if status == statusOK {
			s.done = true
		}
	case cmd == cmdSetupAndX:
		s.setup(c, &x)
	case reply && status == statusOK && cmd != 0x2b: // but an echo
		s.done = true
	}
}

// message1 is a message: its words and its bytes, which begin at at.
type message1 struct {
	m, words, bytes []byte
	at              int
	unicode         bool
}

// negotiate1 reads the dialects, each a 2 and a string (MS-CIFS 2.2.4.52.1).
func (s *stream) negotiate1(c *dissector.Context, x *message1) {
	s.smb1 = nil
	for b := x.bytes; len(b) > 1 && b[0] == 2 && len(s.smb1) < maxDialects; {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			break
		}
		s.smb1 = append(s.smb1, dissector.Text(b[1:i], maxDialectName))
		b = b[i+1:]
	}
	f := dissector.Fact{Kind: "negotiate", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "client")
	f.Attributes.SetList("dialects", s.smb1)
	c.Emit(&f)
}

// negotiated1 reads the answer (MS-CIFS 2.2.4.52.2, MS-SMB 2.2.4.5.2):
//
//	dialect (2) | security mode (1) | mux (2) | VCs (2) | buffer (4) | raw (4) | session key (4) | capabilities (4) | time (8) | zone (2) | challenge (1)
//	extended security: GUID (16) | blob; else: challenge | domain | server
func (s *stream) negotiated1(c *dissector.Context, x *message1) {
	if len(x.words) < 2 {
		return
	}
	f := dissector.Fact{Kind: "negotiate_response", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	if i := int(binary.LittleEndian.Uint16(x.words)); i < len(s.smb1) {
		a.Set("dialect", s.smb1[i])
	}
	if len(x.words) < 34 { // LAN Manager's
		c.Emit(&f)
		return
	}
	switch mode := x.words[2]; {
	case mode&8 != 0:
		a.Set("signing", "required")
	case mode&4 != 0:
		a.Set("signing", "enabled")
	default:
		a.Set("signing", "none")
	}
	extended := binary.LittleEndian.Uint32(x.words[19:])&capExtended != 0
	switch b := x.bytes; {
	case extended && len(b) >= 16:
		a.Set("server_guid", guid(b[:16]))
	case !extended && len(b) >= int(x.words[33]):
		r := text1{b: b[x.words[33]:], unicode: x.unicode} // right behind the challenge, never padded
		a.Set("netbios_domain", r.next())
		a.Set("computer_name", r.next())
	}
	c.Emit(&f)
}

// setup reads a session setup (MS-SMB 2.2.4.6.1 with extended security, 12
// words; MS-CIFS 2.2.4.53.1 without, 13):
//
//	12: ... | blob length (2, at 14) | ...  bytes: blob | native OS | native LAN manager
//	13: ... | password lengths (2 and 2, at 14) | ... bytes: passwords | account | domain | native OS | native LAN manager
func (s *stream) setup(c *dissector.Context, x *message1) {
	f := dissector.Fact{Kind: "session_setup", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "client")
	var r text1
	switch len(x.words) {
	case 24:
		n := min(int(binary.LittleEndian.Uint16(x.words[14:])), len(x.bytes))
		s.ntlm(c, x.bytes[:n])
		r = x.texts(n)
	case 26:
		n := int(binary.LittleEndian.Uint16(x.words[14:])) + int(binary.LittleEndian.Uint16(x.words[16:]))
		if n > len(x.bytes) {
			c.Count("smb_malformed")
			return
		}
		r = x.texts(n)
		account, domain := r.next(), r.next()
		if strings.EqualFold(account, domain) && account != "" {
			c.Count("ntlm_identity_withheld")
		} else {
			a.Set("netbios_domain", domain)
		}
	default:
		return
	}
	a.Set("native_os", r.next())
	a.Set("native_lan_manager", r.next())
	s.once(c, &f)
}

// setupReply reads its answer:
//
//	4 words: ... | blob length (2, at 6)  bytes: blob | native OS | native LAN manager
//	3 words:                              bytes: native OS | native LAN manager | domain
func (s *stream) setupReply(c *dissector.Context, x *message1) {
	f := dissector.Fact{Kind: "session_setup", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	var r text1
	switch len(x.words) {
	case 8:
		n := min(int(binary.LittleEndian.Uint16(x.words[6:])), len(x.bytes))
		s.ntlm(c, x.bytes[:n])
		r = x.texts(n)
	case 6:
		r = x.texts(0)
	default:
		return
	}
	a.Set("native_os", r.next())
	a.Set("native_lan_manager", r.next())
	if len(x.words) == 6 {
		a.Set("netbios_domain", r.next())
	}
	s.once(c, &f)
}

// once emits a session setup that says something: a session takes several.
func (s *stream) once(c *dissector.Context, f *dissector.Fact) {
	if told := &s.told[c.Side&1]; len(f.Attributes) > 1 && !*told {
		*told = true
		c.Emit(f)
	}
}

// texts are the strings behind the first n bytes; UTF-16 begins at an even place
// of the message.
func (x *message1) texts(n int) text1 {
	b := x.bytes[n:]
	if x.unicode && (x.at+n)%2 == 1 && len(b) > 0 {
		b = b[1:]
	}
	return text1{b: b, unicode: x.unicode}
}

// text1 gives strings that end with a zero, one after another.
type text1 struct {
	b       []byte
	unicode bool
}

func (r *text1) next() string {
	if !r.unicode {
		s, rest, _ := bytes.Cut(r.b, []byte{0})
		r.b = rest
		return dissector.Text(s, maxString)
	}
	var u []uint16
	for len(r.b) >= 2 {
		v := binary.LittleEndian.Uint16(r.b)
		r.b = r.b[2:]
		if v == 0 {
			break
		}
		if len(u) <= maxString {
			u = append(u, v)
		}
	}
	return dissector.Text([]byte(string(utf16.Decode(u))), maxString)
}
