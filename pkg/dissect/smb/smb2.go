package smb

import (
	"encoding/binary"
	"fmt"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/kerberos"
	"github.com/wardflow/wardflow/pkg/dissect/ntlm"
	"github.com/wardflow/wardflow/proto"
)

// Parts of an SMB2 header (MS-SMB2 2.2.1.2):
//
//	fe "SMB" | size (2) | credit charge (2) | status (4) | command (2) | credits (2) | flags (4) | next command (4) | ... to 64
const (
	header2        = 64
	offStatus      = 8
	offCommand     = 12
	offFlags       = 16
	offNext        = 20
	offMessage     = 24
	flagResponse   = 1
	maxCompounds   = 16
	cmdNegotiate   = 0
	cmdSetup       = 1
	cmdTree        = 3
	cmdCreate      = 5
	cmdRead        = 8
	cmdWrite       = 9
	cmdControl     = 11
	statusPending  = 0x103
	statusOK       = 0
	maxDialects    = 16
	maxTokens      = 32 // messages of a login that are told
	signingEnabled = 1
	signingNeeded  = 2
)

// version2 reads the messages of a frame, which may be a chain of several.
func (s *stream) version2(c *dissector.Context, m []byte) {
	for range maxCompounds {
		if len(m) < header2 || m[0] != 0xfe {
			return
		}
		one, next := m, int64(binary.LittleEndian.Uint32(m[offNext:]))
		if next >= header2 && next <= int64(len(m)) {
			one = m[:next]
		}
		s.command2(c, one)
		if next < header2 || next >= int64(len(m)) {
			return
		}
		m = m[next:]
	}
}

func (s *stream) command2(c *dissector.Context, m []byte) {
	x := message2{
		m: m, body: m[header2:], status: binary.LittleEndian.Uint32(m[offStatus:]), id: binary.LittleEndian.Uint64(m[offMessage:]),
		response: binary.LittleEndian.Uint32(m[offFlags:])&flagResponse != 0,
	}
	cmd := binary.LittleEndian.Uint16(m[offCommand:])
	if !x.response {
		s.session.count(c, command2(cmd))
	} else if x.status == statusPending {
		return // the real answer follows
	}
	switch {
	case cmd == cmdNegotiate && x.response:
		negotiated2(c, m, x.body)
	case cmd == cmdNegotiate:
		negotiate2(c, x.body)
	case cmd == cmdSetup && x.response:
		// size (2) | flags (2) | offset (2) | length (2)
		if len(x.body) >= 8 && binary.LittleEndian.Uint16(x.body) == 9 {
			s.blob(c, m, x.body, 4)
		}
		s.session.setUp(c, &x)
	case cmd == cmdSetup:
		// size (2) | flags (1) | security mode (1) | capabilities (4) | channel (4) | offset (2) | length (2)
		s.blob(c, m, x.body, 12)
	case cmd == cmdTree:
		s.session.tree2(c, &x)
	case cmd == cmdCreate, cmd == cmdRead, cmd == cmdWrite, cmd == cmdControl:
		s.session.pipe2(c, &x, cmd)
	}
}

// message2 is a message of SMB 2: all of it, and what follows its header.
type message2 struct {
	m, body  []byte
	status   uint32
	id       uint64
	response bool
}

// commands2 are the commands by number (MS-SMB2 2.2.1).
var commands2 = [...]string{
	"negotiate", "session_setup", "logoff", "tree_connect", "tree_disconnect", "create", "close", "flush", "read", "write", "lock", "ioctl", "cancel", "echo", "query_directory", "change_notify", "query_info", "set_info", "oplock_break",
}

func command2(n uint16) string {
	if int(n) < len(commands2) {
		return commands2[n]
	}
	return "other"
}

// blob hands the security buffer, whose offset from the header stands at off, on.
func (s *stream) blob(c *dissector.Context, m, body []byte, off int) {
	if len(body) < off+4 {
		c.Count("smb_malformed")
		return
	}
	at, n := int(binary.LittleEndian.Uint16(body[off:])), int(binary.LittleEndian.Uint16(body[off+2:]))
	if n == 0 {
		return
	}
	if at < header2 || at > len(m) {
		c.Count("smb_malformed")
		return
	}
	s.ntlm(c, m[at:min(len(m), at+n)])
}

func (s *stream) ntlm(c *dissector.Context, blob []byte) {
	if s.tokens++; s.tokens > maxTokens { // somebody tries passwords
		return
	}
	if m := ntlm.Find(blob); m != nil {
		c.Sink.Inner("ntlm")
		ntlm.Emit(c, m)
		s.session.mechanism = "ntlm"
	} else if m := kerberos.Find(blob); m != nil {
		c.Sink.Inner("kerberos")
		kerberos.Emit(c, m)
		s.session.mechanism = "kerberos"
	}
}

// negotiate2 reads a NEGOTIATE request (MS-SMB2 2.2.3):
//
//	size (2) | count (2) | security mode (2) | reserved (2) | capabilities (4) | GUID (16) | contexts (8) | dialects (2 each)
func negotiate2(c *dissector.Context, b []byte) {
	if len(b) < 36 {
		c.Count("smb_malformed")
		return
	}
	f := dissector.Fact{Kind: "negotiate", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "client")
	var list []string
	n := int(binary.LittleEndian.Uint16(b[2:]))
	for x := b[36:]; len(x) >= 2 && n > 0 && len(list) < maxDialects; x, n = x[2:], n-1 {
		if d := dialect(binary.LittleEndian.Uint16(x)); d != "" {
			list = append(list, d)
		}
	}
	a.SetList("dialects", list)
	a.Set("client_guid", guid(b[12:28]))
	a.Set("signing", signing(binary.LittleEndian.Uint16(b[4:])))
	c.Emit(&f)
}

// negotiated2 reads its response (MS-SMB2 2.2.4):
//
//	size (2) | security mode (2) | dialect (2) | contexts (2) | GUID (16) | capabilities (4) | ... | 60 offset of the contexts (4)
func negotiated2(c *dissector.Context, m, b []byte) {
	if len(b) < 64 || binary.LittleEndian.Uint16(b) != 65 {
		return // an error
	}
	f := dissector.Fact{Kind: "negotiate_response", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	version := binary.LittleEndian.Uint16(b[4:])
	a.Set("dialect", dialect(version))
	a.Set("server_guid", guid(b[8:24]))
	a.Set("signing", signing(binary.LittleEndian.Uint16(b[2:])))
	if version >= 0x0300 && version < 0x0311 && binary.LittleEndian.Uint32(b[24:])&capEncryption != 0 {
		a.Set("encryption", "aes_128_ccm")
	}
	if version == 0x0311 {
		contexts(a, m, int64(binary.LittleEndian.Uint32(b[60:])), int(binary.LittleEndian.Uint16(b[6:])))
	}
	c.Emit(&f)
}

// Contexts of a negotiation (MS-SMB2 2.2.3.1), each type (2), length (2), 4, data, at a
// multiple of eight.
const (
	capEncryption      = 0x40
	contextEncryption  = 2
	contextCompression = 3
	maxNegotiated      = 8
)

var (
	ciphers      = [...]string{"", "aes_128_ccm", "aes_128_gcm", "aes_256_ccm", "aes_256_gcm"}
	compressions = [...]string{"", "lznt1", "lz77", "lz77_huffman", "pattern_v1", "lz4"}
)

// contexts tells the cipher that a server chose, and the compressions.
func contexts(a *proto.Attributes, m []byte, at int64, n int) {
	for range min(n, maxNegotiated) {
		if at < header2 || at+8 > int64(len(m)) {
			return
		}
		kind, size := binary.LittleEndian.Uint16(m[at:]), int64(binary.LittleEndian.Uint16(m[at+2:]))
		data := m[at+8:][:min(size, int64(len(m))-at-8)]
		switch {
		case kind == contextEncryption && len(data) >= 4: // count (2) | cipher (2)
			if id := int(binary.LittleEndian.Uint16(data[2:])); id < len(ciphers) {
				a.Set("encryption", ciphers[id])
			}
		case kind == contextCompression && len(data) >= 8: // count (2) | 2 | flags (4) | algorithms (2 each)
			var list []string
			for d := data[8:]; len(d) >= 2 && len(list) < maxNegotiated; d = d[2:] {
				if id := int(binary.LittleEndian.Uint16(d)); id > 0 && id < len(compressions) {
					list = append(list, compressions[id])
				}
			}
			a.SetList("compression", list)
		}
		at += (8 + size + 7) &^ 7
	}
}

var dialects2 = map[uint16]string{
	0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1", 0x02ff: "2.x",
}

func dialect(v uint16) string { return dialects2[v] }

func signing(mode uint16) string {
	switch {
	case mode&signingNeeded != 0:
		return "required"
	case mode&signingEnabled != 0:
		return "enabled"
	}
	return "none"
}

// guid is MS-DTYP 2.3.4.3's text form, "" of zeros.
func guid(b []byte) string {
	if [16]byte(b) == [16]byte{} {
		return ""
	}
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:16])
}
