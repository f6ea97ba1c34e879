package smb

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dcerpc"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

const (
	maxPath = 512 // bytes of a path that are looked at
)

// shares are the names that are told, besides those of drives ("C$").
var shares = []string{"IPC$", "ADMIN$", "PRINT$", "FAX$", "SYSVOL", "NETLOGON"}

// share takes `\\SERVER\SHARE` apart: the server, if that is a name, and the share, if
// it is one that Windows makes itself.
func share(path string) (server, name string) {
	part := strings.Split(strings.TrimLeft(path, `\`), `\`)
	if len(part) >= 2 {
		server = part[0]
	}
	name = strings.ToUpper(part[len(part)-1])
	if drive := len(name) == 2 && name[0] >= 'A' && name[0] <= 'Z' && name[1] == '$'; !drive && !slices.Contains(shares, name) {
		name = ""
	}
	if _, err := netip.ParseAddr(server); err == nil || banner.Host([]byte(server), true) == "" {
		server = ""
	}
	return server, name
}

// utf16Text is a string on the wire.
func utf16Text(b []byte) string {
	b = b[:min(len(b), maxPath)]
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return dissector.Text([]byte(string(utf16.Decode(u))), maxPath)
}

// part is what a length and an offset of a message point at, nil where that is outside.
func (x *message2) part(at, n int) []byte {
	if at < header2 || at > len(x.m) || n < 0 {
		return nil
	}
	return x.m[at:min(len(x.m), at+n)]
}

var shareTypes = [...]string{"", "disk", "pipe", "print"}

// tree2 takes a tree connect: size (2) | flags (2) | offset (2) | length (2); its answer:
// size (2) | type (1) | ...
func (s *session) tree2(c *dissector.Context, x *message2) {
	if !x.response {
		if len(x.body) >= 8 {
			path := x.part(int(binary.LittleEndian.Uint16(x.body[4:])), int(binary.LittleEndian.Uint16(x.body[6:])))
			server, name := share(utf16Text(path))
			s.ask(pending{id: x.id, share: name, server: server})
		}
		return
	}
	p, ok := s.answered(x.id)
	if !ok {
		return
	}
	kind := ""
	if x.status == statusOK && len(x.body) >= 4 && int(x.body[2]) < len(shareTypes) {
		kind = shareTypes[x.body[2]]
	}
	s.connected(c, p, kind, x.status, true)
}

// tree1 takes a tree connect of SMB1 (MS-CIFS 2.2.4.55):
//
//	words: AndX (4) | flags (2) | length of the password (2)   bytes: password | path | service
//	its answer's bytes: service | file system
func (s *session) tree1(c *dissector.Context, x *message1) {
	if !x.reply {
		if len(x.words) < 8 {
			return
		}
		n := int(binary.LittleEndian.Uint16(x.words[6:]))
		if n > len(x.bytes) {
			return
		}
		r := x.texts(n)
		server, name := share(r.next())
		s.ask(pending{id: x.id, share: name, server: server})
		return
	}
	p, ok := s.answered(x.id)
	if !ok {
		return
	}
	kind := ""
	r := text1{b: x.bytes}
	switch r.next() {
	case "A:":
		kind = "disk"
	case "IPC":
		kind = "pipe"
	case "LPT1:":
		kind = "print"
	}
	s.connected(c, p, kind, x.status, x.nt)
}

// connected tells of a share that was connected to, or refused, once.
func (s *session) connected(c *dissector.Context, p pending, kind string, status uint32, nt bool) {
	f := dissector.Fact{Kind: "tree_connect", Subject: dissector.Subject{Side: c.Side.Peer()}}
	a := &f.Attributes
	a.Set("role", "client")
	a.Set("share_type", kind)
	if strings.HasSuffix(p.share, "$") {
		a.Set("admin_share", p.share)
	} else {
		a.Set("share", p.share)
	}
	a.Set("server_name", p.server)
	outcome, reason := "success", ""
	if status != statusOK {
		outcome, reason = "failure", "dos_error"
		if nt {
			reason = statusName(status)
		}
	}
	a.Set("outcome", outcome)
	a.Set("status", reason)
	if s.news("tree " + p.share + p.server + kind + outcome + reason) {
		c.Emit(&f)
	}
}

// pipeNames are the pipes that are told by name (MS-RPCE 1.9 and the interfaces'
// documents).
var pipeNames = []string{
	"atsvc", "browser", "epmapper", "eventlog", "initshutdown", "lsarpc", "lsass", "netdfs", "netlogon", "ntsvcs", "protected_storage", "samr", "spoolss", "srvsvc", "svcctl", "tapsrv", "trkwks", "w32time", "winreg",
	"wkssvc", "efsrpc", "fssagentrpc", "termsrv", "scerpc", "mspipes", "router", "rasman",
}

func (s *session) opened(name string) {
	name = strings.ToLower(strings.TrimPrefix(strings.TrimLeft(name, `\`), `pipe\`))
	if slices.Contains(pipeNames, name) && !slices.Contains(s.names, name) {
		s.names = append(s.names, name)
	}
}

// transceive is the control code that writes to a pipe and reads from it.
const transceive = 0x0011c017

// pipe2 looks for DCE/RPC in what is written to and read from pipes.
func (s *session) pipe2(c *dissector.Context, x *message2, cmd uint16) {
	b := x.body
	u16 := func(at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
	u32 := func(at int) int { return int(binary.LittleEndian.Uint32(b[at:])) }
	switch {
	case cmd == cmdCreate && !x.response && len(b) >= 48: // ... | 44 offset (2) | length (2)
		s.opened(utf16Text(x.part(u16(44), u16(46))))
	case cmd == cmdWrite && !x.response && len(b) >= 32: // size (2) | offset (2) | length (4) | offset (8) | file (16)
		s.rpc(c, binary.LittleEndian.Uint64(b[24:]), x.part(u16(2), u32(4)))
	case cmd == cmdControl && len(b) >= 40 && u32(4) == transceive: // size (2) | 2 | code (4) | file (16) | in (4, 4) | most (4) or out (4, 4)
		file := binary.LittleEndian.Uint64(b[16:])
		if x.response {
			s.rpc(c, file, x.part(u32(32), u32(36)))
		} else {
			s.rpc(c, file, x.part(u32(24), u32(28)))
		}
	case cmd == cmdRead && !x.response && len(b) >= 32 && s.calls.Bound(binary.LittleEndian.Uint64(b[24:])): // ... | 16 file (16)
		s.ask(pending{id: x.id, file: binary.LittleEndian.Uint64(b[24:])})
	case cmd == cmdRead && x.response && len(b) >= 8: // size (2) | offset (1) | 1 | length (4)
		if p, ok := s.answered(x.id); ok && x.status == statusOK {
			s.rpc(c, p.file, x.part(int(b[2]), u32(4)))
		}
	}
}

// pipe1 does so for SMB1: WRITE_ANDX (MS-CIFS 2.2.4.43) and TRANSACTION (2.2.4.33, MS-CIFS
// 2.2.5.6).
func (s *session) pipe1(c *dissector.Context, x *message1, cmd byte) {
	w := x.words
	u16 := func(at int) int { return int(binary.LittleEndian.Uint16(w[at:])) }
	data := func(at, n int) []byte {
		if at < header1 || at > len(x.m) {
			return nil
		}
		return x.m[at:min(len(x.m), at+n)]
	}
	switch {
	case cmd == cmdWriteAndX && !x.reply && len(w) >= 24: // ... | 4 file (2) | ... | 20 length (2) | 22 offset (2)
		s.rpc(c, uint64(u16(4)), data(u16(22), u16(20)))
	case cmd == cmdTransaction && !x.reply && len(w) >= 32 && u16(28) == 0x26: // ... | 22 length (2) | 24 offset (2) | ... | 28 function (2) | 30 file (2)
		file := uint64(u16(30))
		s.rpc(c, file, data(u16(24), u16(22)))
		s.ask(pending{id: x.id, file: file})
	case cmd == cmdTransaction && x.reply && len(w) >= 20: // ... | 12 length (2) | 14 offset (2)
		if p, ok := s.answered(x.id); ok {
			s.rpc(c, p.file, data(u16(14), u16(12)))
		}
	}
}

// rpc gives PDUs to the calls, those of pipes on which somebody has bound to an
// interface.
func (s *session) rpc(c *dissector.Context, file uint64, b []byte) {
	if !dcerpc.Begins(b) || !dcerpc.IsBind(b) && !s.calls.Bound(file) {
		return
	}
	c.Sink.Inner("dcerpc")
	s.calls.On(file)
	s.calls.PDU(c, b)
}
