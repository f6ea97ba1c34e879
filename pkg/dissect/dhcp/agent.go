package dhcp

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/lldp"
	"github.com/wardflow/wardflow/proto"
)

// The sub-options of a relay agent's information (RFC 3046, RFC 3527). The
// subscriber's (RFC 3993) is a person's and is not read.
const (
	agentCircuit = 1
	agentRemote  = 2
	agentLink    = 5
)

const maxLine = 64 // bytes of an identifier of a line

// agent reads what a relay says of where the client's message came in.
func (o *options) agent(c *dissector.Context, a *proto.Attributes) {
	v := o.value[optAgent]
	for len(v) >= 2 {
		n := 2 + int(v[1])
		if n > len(v) {
			c.Count("dhcp_options_malformed")
			return
		}
		switch value := v[2:n]; v[0] {
		case agentCircuit:
			a.Set("circuit_id", Line(c, "dhcp_line_withheld", value))
		case agentRemote:
			a.Set("remote_id", Line(c, "dhcp_line_withheld", value))
		case agentLink:
			if len(value) == 4 {
				if link := addr4(value); link.IsValid() {
					a.Set("relay_link", link.String())
				}
			}
		}
		v = v[n:]
	}
}

// Line makes an identifier of a line, a port or a relay presentable: a text where
// it names nothing but a port, what switches make of VLAN, module and port, or of
// a MAC, and else bytes in hex. A text that an administrator typed leaves as its
// HMAC and is counted: it tells the lines apart. DHCPv6 has the same.
func Line(c *dissector.Context, counter string, b []byte) string {
	if len(b) == 0 || len(b) > maxLine {
		return ""
	}
	// Type and length before the value: 0 of a number or a MAC, 1 of a text.
	if len(b) > 2 && int(b[1]) == len(b)-2 && b[0] <= 1 {
		switch rest := b[2:]; {
		case b[0] == 0 && len(rest) == 4:
			return "vlan=" + strconv.Itoa(int(binary.BigEndian.Uint16(rest))) + " port=" + strconv.Itoa(int(rest[2])) + "/" + strconv.Itoa(int(rest[3]))
		case b[0] == 0 && len(rest) == 6:
			return proto.MAC(rest).String()
		case b[0] == 1:
			b = rest
		}
	}
	if !textual(b) {
		if len(b) == 6 {
			return proto.MAC(b).String()
		}
		return hex.EncodeToString(b)
	}
	s := dissector.Text(b, maxLine)
	if printable(b) && (lldp.PortName(s) || macForm(s)) {
		return s
	}
	c.Count(counter)
	return dissector.Pseudonym(c.Key, b)
}

// textual reports four printable bytes in a row or more, or nothing but such.
func textual(b []byte) bool {
	run, most := 0, 0
	for _, x := range b {
		if x < ' ' || x > '~' {
			run = 0
			continue
		}
		run++
		most = max(most, run)
	}
	return most > 3 || most == len(b)
}

func printable(b []byte) bool {
	for _, x := range b {
		if x < ' ' || x > '~' {
			return false
		}
	}
	return true
}

// macForm holds for a MAC in text.
func macForm(s string) bool {
	s = strings.NewReplacer(":", "", "-", "", ".", "").Replace(s)
	_, err := strconv.ParseUint(s, 16, 64)
	return len(s) == 12 && err == nil
}

// architectures are the client system architectures that boot over the network
// (IANA Processor Architecture Types).
var architectures = map[uint16]string{
	0: "x86_bios", 6: "x86_uefi", 7: "x64_uefi", 9: "ebc", 10: "arm32_uefi", 11: "arm64_uefi", 15: "x86_uefi_http", 16: "x64_uefi_http",
	18: "arm32_uefi_http", 19: "arm64_uefi_http", 20: "x86_bios_http",
}

// Architecture names a processor architecture of a client that boots; DHCPv6 has
// the same numbers.
func Architecture(b []byte) string {
	if len(b) < 2 {
		return ""
	}
	n := binary.BigEndian.Uint16(b)
	if s := architectures[n]; s != "" {
		return s
	}
	return strconv.Itoa(int(n))
}

// Device information of the Broadband Forum (TR-069 annex F), by its enterprise
// number.
const (
	broadband        = 3561
	broadbandSerial  = 2
	broadbandProduct = 3
)

const maxVendors = 8

// boot reads what a client that boots over the network says of its machine, and
// which makers' options it has (RFC 4578, RFC 3925).
func (o *options) boot(a *proto.Attributes) {
	a.Set("client_arch", Architecture(o.value[optArchitecture]))
	if v := o.value[optUUID]; len(v) == 17 && v[0] == 0 {
		a.Set("client_uuid", guid(v[1:]))
	}
	var list []string
	for _, code := range [...]byte{optVendors, optVendorData} {
		for v := o.value[code]; len(v) >= 5 && len(list) < maxVendors; {
			n := 5 + int(v[4])
			if n > len(v) {
				break
			}
			number := binary.BigEndian.Uint32(v)
			list = append(list, strconv.FormatUint(uint64(number), 10))
			if code == optVendorData && number == broadband {
				broadbandDevice(v[5:n], a)
			}
			v = v[n:]
		}
	}
	a.SetList("vendor_enterprises", list)
}

func broadbandDevice(v []byte, a *proto.Attributes) {
	for len(v) >= 2 && 2+int(v[1]) <= len(v) {
		value := v[2 : 2+int(v[1])]
		switch v[0] {
		case broadbandSerial:
			a.Set("serial", identifier(value))
		case broadbandProduct:
			a.Set("product", identifier(value))
		}
		v = v[2+int(v[1]):]
	}
}

// identifier is one word with a digit in it.
func identifier(b []byte) string {
	s := dissector.Text(b, maxLine)
	if !strings.ContainsAny(s, "0123456789") || strings.ContainsAny(s, " @'") {
		return ""
	}
	return s
}

// host is a name or an address.
func host(b []byte) string {
	s := dissector.Text(b, maxText)
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_' && r != ':' {
			return ""
		}
	}
	return s
}

// guid writes sixteen bytes the way that firmware does: the first three numbers
// have their low byte first.
func guid(b []byte) string {
	x := [16]byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], 8: b[8], 9: b[9]}
	copy(x[10:], b[10:])
	s := hex.EncodeToString(x[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
