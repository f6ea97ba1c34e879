package netbios

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// A datagram (RFC 1002 4.4.1):
//
//	0 type   1 flags   2 id   4 source address   8 source port   10 length   12 offset   14 source name, destination name, data
const (
	namesAt       = 14
	directUnique  = 0x10
	directGroup   = 0x11
	broadcastType = 0x12
	errorType     = 0x13
	lastType      = 0x16
	firstFragment = 0x02
)

// service138 tells who sends datagrams, and what it announces of itself.
func service138(c *dissector.Context, b []byte) bool {
	kind := b[0]
	switch {
	case kind < directUnique || kind > lastType || b[1]&0xf0 != 0:
		return false
	case kind == errorType:
		return c.Headers.PayloadLen <= 11+4
	case kind > errorType: // queries of a name server for datagrams: nobody has one
		_, _, ok := readName(b, 10)
		return ok
	case len(b) < namesAt:
		return false
	}
	source, off, ok := readName(b, namesAt)
	if !ok {
		return false
	}
	target, off, ok := readName(b, off)
	if !ok {
		return false
	}
	length, at := int(binary.BigEndian.Uint16(b[10:])), binary.BigEndian.Uint16(b[12:])
	if length > c.Headers.PayloadLen {
		return false
	}
	f := dissector.Fact{Kind: "datagram", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("computer_name", source.host(false))
	if kind == directGroup || target.suffix == suffixBrowser {
		a.Set("netbios_domain", target.domain(target.suffix != suffixBrowser))
	}
	if at == 0 && b[1]&firstFragment != 0 {
		browse(c, &f, b[off:])
	}
	if len(*a) > 0 {
		told(c, &f)
	}
	return true
}

// The SMB transaction that a mailslot's message is (MS-CIFS 2.2.4.33, MS-MAIL
// 2.2.1): a header, words of which two say where the data are, a name.
const (
	smbHeader      = 32
	smbTransaction = 0x25
	smbWords       = 14
	dataCountAt    = smbHeader + 1 + 22
	dataOffsetAt   = smbHeader + 1 + 24
)

var mailslot = []byte("\\MAILSLOT\\BROWSE\x00")

// Messages of the browser service (MS-BRWS 2.2), and where what is read stands.
const (
	hostAnnouncement   = 1
	domainAnnouncement = 12
	masterAnnouncement = 15
	announced          = 32 // bytes up to the comment
)

// serverTypes are the bits of what a server is (MS-BRWS 2.2.1, SV_TYPE of MS-SRVS)
// that tell something of a device.
var serverTypes = [...]string{
	0: "workstation", 1: "file_server", 2: "sql_server", 3: "domain_controller", 4: "backup_domain_controller", 5: "time_server", 6: "afp_server", 7: "novell_server",
	8: "domain_member", 9: "print_server", 10: "dialin_server", 11: "unix_server", 12: "nt_workstation", 13: "wfw", 15: "nt_server", 16: "potential_browser",
	17: "backup_browser", 18: "master_browser", 19: "domain_master_browser", 22: "windows95", 23: "dfs_server", 24: "cluster", 25: "terminal_server",
}

// browse reads an announcement; the comment behind it is what somebody typed.
func browse(c *dissector.Context, f *dissector.Fact, b []byte) {
	if len(b) < dataOffsetAt+2 || string(b[:5]) != "\xffSMB\x25" || b[smbHeader] < smbWords || !bytes.Contains(b[:min(len(b), 128)], mailslot) {
		return
	}
	count, at := int(binary.LittleEndian.Uint16(b[dataCountAt:])), int(binary.LittleEndian.Uint16(b[dataOffsetAt:]))
	if at+count > len(b) || count < 1 {
		c.Count("netbios_announcement_malformed")
		return
	}
	m := b[at : at+count]
	switch m[0] {
	case hostAnnouncement, domainAnnouncement, masterAnnouncement:
	default:
		return
	}
	if len(m) < announced {
		c.Count("netbios_announcement_malformed")
		return
	}
	a := &f.Attributes
	own := dissector.Text(bytes.TrimRight(cut(m[6:22]), " "), maxName)
	if m[0] == domainAnnouncement {
		f.Kind = "domain_announcement"
		a.Set("netbios_domain", own)
		return
	}
	f.Kind = "announcement"
	a.Set("computer_name", own)
	a.Set("os_version", strconv.Itoa(int(m[22]))+"."+strconv.Itoa(int(m[23])))
	bits := binary.LittleEndian.Uint32(m[24:])
	var list []string
	for i, name := range serverTypes {
		if name != "" && bits&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	a.SetList("roles", list)
}

// cut ends a text at its first zero.
func cut(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}
