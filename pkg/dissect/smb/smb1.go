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
	offMID1        = 30
	flagReply      = 0x80
	flag2Unicode   = 0x8000
	flag2Status    = 0x4000
	cmdNegotiate1  = 0x72
	cmdSetupAndX   = 0x73
	cmdTreeAndX    = 0x75
	cmdWriteAndX   = 0x2f
	cmdTransaction = 0x25
	noCommand      = 0xff
	maxChain       = 8
	capExtended    = 0x80000000
	maxDialectName = 32
	maxString      = 128
)

// dialects are those that the client offered, for the answer is an index.
type dialects []string

func (d dialects) size() int { return len(d) * maxDialectName }

// version1 reads one message, which may be a chain of several (AndX).
func (s *stream) version1(c *dissector.Context, m []byte) {
	if len(m) < header1+3 {
		c.Count("smb_malformed")
		return
	}
	x := message1{
		m: m, reply: m[offFlags1]&flagReply != 0, unicode: binary.LittleEndian.Uint16(m[offFlags2:])&flag2Unicode != 0,
		status: binary.LittleEndian.Uint32(m[offStatus1:]), id: uint64(binary.LittleEndian.Uint16(m[offMID1:])),
		nt: binary.LittleEndian.Uint16(m[offFlags2:])&flag2Status != 0,
	}
	cmd, at := m[offCommand1], header1
	for range maxChain {
		if !x.block(at) {
			if x.reply && x.status != statusOK {
				s.command1(c, &x, cmd) // an error has no words
			}
			return
		}
		s.command1(c, &x, cmd)
		next := 0
		if andX[cmd] && len(x.words) >= 4 {
			cmd, next = x.words[0], int(binary.LittleEndian.Uint16(x.words[2:]))
		}
		if next <= at || cmd == noCommand {
			return
		}
		at = next
	}
}

// block reads the words and bytes at a place of the message.
func (x *message1) block(at int) bool {
	x.words, x.bytes = nil, nil
	if at+1 > len(x.m) {
		return false
	}
	words := int(x.m[at])
	end := at + 1 + 2*words
	if len(x.m) < end+2 {
		return false
	}
	x.words, x.bytes, x.at = x.m[at+1:end], x.m[end+2:], end+2
	x.bytes = x.bytes[:min(len(x.bytes), int(binary.LittleEndian.Uint16(x.m[end:])))]
	return true
}

// command1 acts on one command.
func (s *stream) command1(c *dissector.Context, x *message1, cmd byte) {
	if !x.reply {
		s.session.count(c, command1(cmd))
	}
	switch {
	case cmd == cmdNegotiate1 && x.reply:
		s.negotiated1(c, x)
	case cmd == cmdNegotiate1:
		s.negotiate1(c, x)
	case cmd == cmdSetupAndX && x.reply:
		if x.words != nil {
			s.setupReply(c, x)
		}
		s.session.setUp1(c, x)
	case cmd == cmdSetupAndX:
		s.setup(c, x)
	case cmd == cmdTreeAndX:
		s.session.tree1(c, x)
	case cmd == cmdWriteAndX, cmd == cmdTransaction:
		s.session.pipe1(c, x, cmd)
	}
}

// commands1 are the commands that are counted by name (MS-CIFS 2.2.2.1).
var commands1 = map[byte]string{
	0x04: "close", 0x06: "delete", 0x07: "rename", 0x25: "transaction", 0x2b: "echo", 0x2e: "read", 0x2f: "write", 0x32: "transaction2", 0x71: "tree_disconnect", 0x72: "negotiate", 0x73: "session_setup",
	0x74: "logoff", 0x75: "tree_connect", 0xa0: "nt_transaction", 0xa2: "create",
}

func command1(n byte) string {
	if s := commands1[n]; s != "" {
		return s
	}
	return "other"
}

// andX are the commands that another may follow in the same message.
var andX = map[byte]bool{0x24: true, 0x2d: true, 0x2e: true, 0x2f: true, cmdSetupAndX: true, 0x74: true, cmdTreeAndX: true, 0xa2: true}

// message1 is a message: the words and the bytes of its command in hand, which begin
// at at.
type message1 struct {
	m, words, bytes []byte
	at              int
	unicode         bool
	reply           bool
	nt              bool // the status is one of NT
	status          uint32
	id              uint64
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
	s.session.plain = x.words[2]&2 == 0 // passwords are sent as they are
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
		s.session.secret = s.session.plain && passwordIn(x.bytes[:n])
		r = x.texts(n)
		account, domain := r.next(), r.next()
		s.session.account = dissector.Account([]byte(account))
		if account == "" {
			s.session.account = "anonymous"
		}
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

// passwordIn holds for a password, not for a byte or two of nothing.
func passwordIn(b []byte) bool { return len(bytes.Trim(b, "\x00")) > 0 }

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
