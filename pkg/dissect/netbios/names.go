package netbios

import (
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

const (
	letters = 32 // of an encoded name, two for each byte
	maxName = 15
)

// name is a NetBIOS name: fifteen bytes, and what it stands for.
type name struct {
	text   string
	suffix byte
}

// readName undoes the first-level encoding at off (RFC 1001 14.1) and steps over
// the scope behind it; a compression pointer is followed once.
func readName(b []byte, off int) (n name, end int, ok bool) {
	if off+2 > len(b) {
		return n, 0, false
	}
	if b[off]&0xc0 == 0xc0 {
		n, _, ok = readName(b[:off], int(b[off]&0x3f)<<8|int(b[off+1]))
		return n, off + 2, ok
	}
	if b[off] != letters || off+2+letters > len(b) {
		return n, 0, false
	}
	var raw [letters / 2]byte
	for i := range raw {
		hi, lo := b[off+1+2*i]-'A', b[off+2+2*i]-'A'
		if hi > 15 || lo > 15 {
			return n, 0, false
		}
		raw[i] = hi<<4 | lo
	}
	n.set(raw)
	end = off + 1 + letters
	for range 16 { // labels of the scope
		if end >= len(b) || b[end] > 63 {
			return n, 0, false
		}
		if b[end] == 0 {
			return n, end + 1, true
		}
		end += 1 + int(b[end])
	}
	return n, 0, false
}

func (n *name) set(raw [letters / 2]byte) {
	n.suffix = raw[maxName]
	if strings.HasPrefix(string(raw[:]), "\x01\x02__MSBROWSE__\x02") {
		n.text = ""
		return
	}
	n.text = dissector.Text(raw[:maxName], maxName)
}

// What a name's last byte says of who has it (Microsoft's list of NetBIOS
// suffixes).
const (
	suffixWorkstation  = 0x00 // a computer, or as a group its domain
	suffixMaster       = 0x01 // __MSBROWSE__
	suffixMessenger    = 0x03 // a computer or a user
	suffixDomainMaster = 0x1b
	suffixControllers  = 0x1c
	suffixBrowser      = 0x1d
	suffixElection     = 0x1e
	suffixServer       = 0x20
)

// roles are what a host does that has a name of that kind.
var roles = map[byte]string{
	suffixWorkstation: "workstation", suffixMaster: "master_browser", suffixMessenger: "messenger", 0x06: "ras_server", suffixDomainMaster: "domain_master_browser",
	suffixControllers: "domain_controller", suffixBrowser: "master_browser", suffixElection: "potential_browser", 0x1f: "netdde", suffixServer: "file_server",
	0x21: "ras_client", 0x22: "exchange", 0x23: "exchange", 0x24: "exchange", 0x30: "modem_server", 0x31: "modem_client", 0x43: "sms", 0x44: "sms",
	0x45: "sms", 0x46: "sms", 0x6a: "exchange", 0x87: "exchange", 0xbe: "network_monitor", 0xbf: "network_monitor",
}

// host is the name where it is the computer's own; group says that many have it.
func (n *name) host(group bool) string {
	if group || strings.HasPrefix(n.text, "*") || n.suffix != suffixWorkstation && n.suffix != suffixServer {
		return ""
	}
	return n.text
}

// domain is the name where it is that of a domain or a workgroup.
func (n *name) domain(group bool) string {
	switch {
	case group && (n.suffix == suffixWorkstation || n.suffix == suffixControllers || n.suffix == suffixElection),
		!group && (n.suffix == suffixDomainMaster || n.suffix == suffixBrowser):
		return n.text
	}
	return ""
}

// role is what the owner of the name does; who is in a domain says no more by that.
func (n *name) role(group bool) string {
	if group && n.suffix == suffixWorkstation {
		return ""
	}
	return roles[n.suffix]
}
