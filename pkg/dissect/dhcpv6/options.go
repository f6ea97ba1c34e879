package dhcpv6

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dhcp"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// The options that are read (IANA DHCPv6 option codes).
const (
	optClientID     = 1
	optServerID     = 2
	optIANA         = 3
	optIATA         = 4
	optAddress      = 5
	optRequest      = 6
	optRelayed      = 9
	optStatus       = 13
	optVendorClass  = 16
	optVendorData   = 17
	optInterfaceID  = 18
	optNameServers  = 23
	optDomains      = 24
	optIAPD         = 25
	optPrefix       = 26
	optSNTPServers  = 31
	optRemoteID     = 37
	optFQDN         = 39
	optNTP          = 56
	optArchitecture = 61
	optLinkLayer    = 79
)

// next takes one option off: code, length, value.
func next(b []byte) (code uint16, value, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, nil, nil, false
	}
	end := 4 + int(binary.BigEndian.Uint16(b[2:]))
	if end > len(b) {
		return 0, nil, nil, false
	}
	return binary.BigEndian.Uint16(b), b[4:end], b[end:], true
}

// options reads the options of one message; false when their lengths do not add up.
func (m *message) options(b []byte) bool {
	for len(b) > 0 {
		code, v, rest, ok := next(b)
		if !ok {
			return false
		}
		if _, seen := m.option[code]; !seen {
			m.option[code] = v
		}
		switch code {
		case optClientID:
			m.clientID = v
		case optServerID:
			m.serverID = v
		case optIANA, optIAPD:
			if len(v) < 12 || !m.association(v[12:]) {
				return false
			}
		case optIATA:
			if len(v) < 4 || !m.association(v[4:]) {
				return false
			}
		case optVendorClass, optVendorData:
			m.maker(v)
		}
		b = rest
	}
	return true
}

// association reads the addresses and prefixes of an identity association (RFC
// 8415 21.6, 21.22).
func (m *message) association(b []byte) bool {
	for len(b) > 0 {
		code, v, rest, ok := next(b)
		if !ok {
			return false
		}
		switch {
		case code == optAddress && len(v) >= 24:
			a := netip.AddrFrom16([16]byte(v[:16]))
			if len(m.addresses) < maxAddrs && !slices.Contains(m.addresses, a.String()) {
				m.addresses = append(m.addresses, a.String())
			}
			if lease := binary.BigEndian.Uint32(v[20:]); !m.first.IsValid() && lease > 0 {
				m.first, m.lease = a, lease
			}
		case code == optPrefix && len(v) >= 25:
			p := netip.AddrFrom16([16]byte(v[9:25])).String() + "/" + strconv.Itoa(int(v[8]))
			if len(m.prefixes) < maxAddrs && !slices.Contains(m.prefixes, p) {
				m.prefixes = append(m.prefixes, p)
			}
		case code == optStatus && m.option[optStatus] == nil:
			m.option[optStatus] = v
		}
		b = rest
	}
	return true
}

// maker notes the number before a vendor's class or data.
func (m *message) maker(v []byte) {
	if len(v) < 4 || len(m.makers) == maxMakers {
		return
	}
	if n := strconv.FormatUint(uint64(binary.BigEndian.Uint32(v)), 10); !slices.Contains(m.makers, n) {
		m.makers = append(m.makers, n)
	}
}

// statuses are the codes that say no (RFC 8415 21.13).
var statuses = [...]string{"", "unspec_fail", "no_addrs_avail", "no_binding", "not_on_link", "use_multicast", "no_prefix_avail"}

func (m *message) status() string {
	v := m.option[optStatus]
	if len(v) < 2 {
		return ""
	}
	n := int(binary.BigEndian.Uint16(v))
	if n < len(statuses) {
		return statuses[n]
	}
	return strconv.Itoa(n)
}

// identity reads what the client says of itself.
func (m *message) identity(c *dissector.Context, a *proto.Attributes) {
	a.Set("client_id", duid(c, m.clientID))
	a.Set("client_mac", text(duidMAC(m.clientID)))
	if v := m.clientID; len(v) > 6 && binary.BigEndian.Uint16(v) == duidEN {
		a.Set("duid_enterprise", strconv.FormatUint(uint64(binary.BigEndian.Uint32(v[2:])), 10))
	}
	if v := m.option[optFQDN]; len(v) > 1 {
		if list := names(v[1:]); len(list) > 0 {
			a.Set("fqdn", list[0])
		}
	}
	if v := m.option[optVendorClass]; len(v) > 6 {
		if n := int(binary.BigEndian.Uint16(v[4:])); 6+n <= len(v) {
			a.Set("vendor_class", dissector.Text(v[6:6+n], maxText))
		}
	}
	a.SetList("vendor_enterprises", m.makers)
	a.Set("client_arch", dhcp.Architecture(m.option[optArchitecture]))
	list := []byte(nil)
	for v := m.option[optRequest]; len(v) >= 2 && len(list) < 4*maxText; v = v[2:] {
		if list != nil {
			list = append(list, ',')
		}
		list = strconv.AppendUint(list, uint64(binary.BigEndian.Uint16(v)), 10)
	}
	a.Set("parameter_list", string(list))
}

// place tells where the relay says the client's messages come from.
func (m *message) place(c *dissector.Context, a *proto.Attributes) {
	a.Set("circuit_id", dhcp.Line(c, "dhcpv6_line_withheld", m.interfaceID))
	a.Set("remote_id", dhcp.Line(c, "dhcpv6_line_withheld", m.line))
	if m.link.IsValid() {
		a.Set("relay_link", m.link.String())
	}
}

// The kinds of DUID (RFC 8415 11): a MAC with a time, a maker's number with its
// own identifier, a MAC, a UUID (RFC 6355).
const (
	duidLLT  = 1
	duidEN   = 2
	duidLL   = 3
	duidUUID = 4

	maxDUID = 130
	maxRun  = 5 // printable bytes in a row that chance makes
)

// duid is an identifier in hex. One that a maker has made of a text leaves as its
// HMAC.
func duid(c *dissector.Context, b []byte) string {
	if len(b) < 3 || len(b) > maxDUID {
		return ""
	}
	switch kind := binary.BigEndian.Uint16(b); {
	case kind == duidLLT && len(b) == 14, kind == duidLL && len(b) == 10, kind == duidUUID && len(b) == 18:
		return hex.EncodeToString(b)
	}
	run := 0
	for _, x := range b[2:] {
		if x < ' ' || x > '~' {
			run = 0
		} else if run++; run > maxRun {
			return dissector.Pseudonym(c.Key, b)
		}
	}
	return hex.EncodeToString(b)
}

// duidMAC is the Ethernet address in a DUID: of one of the host's interfaces, and
// not always of the one that it speaks from.
func duidMAC(b []byte) (m proto.MAC) {
	if len(b) < 4 || binary.BigEndian.Uint16(b[2:]) != 1 { // hardware type
		return m
	}
	switch kind := binary.BigEndian.Uint16(b); {
	case kind == duidLLT && len(b) == 14:
		m = proto.MAC(b[8:])
	case kind == duidLL && len(b) == 10:
		m = proto.MAC(b[4:])
	}
	if m.IsGroup() {
		return proto.MAC{}
	}
	return m
}

// addrs are the addresses of an option.
func addrs(v []byte) (list []string) {
	for ; len(v) >= 16 && len(list) < maxAddrs; v = v[16:] {
		list = append(list, netip.AddrFrom16([16]byte(v[:16])).String())
	}
	return list
}

// timeServers reads the sub-options of RFC 5908: a server's address, a group's, a
// name.
func timeServers(v []byte) (list []string) {
	for len(v) > 0 && len(list) < maxAddrs {
		code, value, rest, ok := next(v)
		if !ok {
			break
		}
		switch code {
		case 1, 2:
			list = append(list, addrs(value)...)
		case 3:
			list = append(list, names(value)...)
		}
		v = rest
	}
	return list
}

// names reads domain names (RFC 1035 3.1), of which the last may lack its end.
func names(b []byte) (list []string) {
	var s []byte
	for len(b) > 0 && len(list) < maxAddrs {
		n := int(b[0])
		if n > 63 || 1+n > len(b) {
			return list
		}
		if n > 0 {
			if len(s) > 0 {
				s = append(s, '.')
			}
			s = append(s, b[1:1+n]...)
		}
		b = b[1+n:]
		if n == 0 || len(b) == 0 {
			if name := dissector.Text(s, maxText); name != "" {
				list = append(list, name)
			}
			s = nil
		}
	}
	return list
}
