package smb

import (
	"encoding/binary"
	"fmt"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/kerberos"
	"github.com/wardflow/wardflow/pkg/dissect/ntlm"
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
	flagResponse   = 1
	maxCompounds   = 16
	cmdNegotiate   = 0
	cmdSetup       = 1
	statusOK       = 0
	statusMore     = 0xc0000016 // MORE_PROCESSING_REQUIRED
	maxDialects    = 16
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
	response := binary.LittleEndian.Uint32(m[offFlags:])&flagResponse != 0
	status := binary.LittleEndian.Uint32(m[offStatus:])
	body := m[header2:]
	switch cmd := binary.LittleEndian.Uint16(m[offCommand:]); {
	case cmd == cmdNegotiate && response:
		negotiated2(c, body)
	case cmd == cmdNegotiate:
		negotiate2(c, body)
	case cmd == cmdSetup && response:
		// size (2) | flags (2) | offset (2) | length (2)
		s.blob(c, m, body, 4)
		if status == statusOK {
			s.done = true
		}
	case cmd == cmdSetup:
		// size (2) | flags (1) | security mode (1) | capabilities (4) | channel (4) | offset (2) | length (2)
		s.blob(c, m, body, 12)
	case response && status == statusOK && cmd > 2:
		s.done = true // a session is at work
	}
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

func (*stream) ntlm(c *dissector.Context, blob []byte) {
	if m := ntlm.Find(blob); m != nil {
		c.Sink.Inner("ntlm")
		ntlm.Emit(c, m)
	} else if m := kerberos.Find(blob); m != nil {
		c.Sink.Inner("kerberos")
		kerberos.Emit(c, m)
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
//	size (2) | security mode (2) | dialect (2) | contexts (2) | GUID (16) | capabilities (4) | ...
func negotiated2(c *dissector.Context, b []byte) {
	if len(b) < 64 || binary.LittleEndian.Uint16(b) != 65 {
		return // an error
	}
	f := dissector.Fact{Kind: "negotiate_response", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	a.Set("dialect", dialect(binary.LittleEndian.Uint16(b[4:])))
	a.Set("server_guid", guid(b[8:24]))
	a.Set("signing", signing(binary.LittleEndian.Uint16(b[2:])))
	c.Emit(&f)
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
