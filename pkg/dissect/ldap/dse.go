package ldap

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/ber"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/sasl"
	"github.com/wardflow/wardflow/proto"
)

const (
	maxAttributes = 64
	maxValues     = 16
	maxVendor     = 64
)

// ping reads a search. Only of a netlogon ping (MS-ADTS 6.3.3.1: base "", filter with
// NtVer) the computer that asks is told: (Host=WS7).
//
//	base (4) | scope (10) | deref (10) | size (2) | time (2) | types only (1) | filter | attributes
func ping(c *dissector.Context, b []byte) {
	base, rest, ok := ber.Next(b)
	if !ok || len(base.Body) > 0 {
		return
	}
	for range 5 {
		if _, rest, ok = ber.Next(rest); !ok {
			return
		}
	}
	filter, _, ok := ber.Next(rest)
	if !ok || !filter.Is(ber.Context, 0) { // and
		return
	}
	var host, domain string
	netlogon := false
	ber.Each(filter.Body, func(v ber.Value) bool {
		if !v.Is(ber.Context, 3) { // equality
			return true
		}
		name, value, ok := ber.Next(v.Body)
		x, _, valued := ber.Next(value)
		if !ok || !valued {
			return true
		}
		switch strings.ToLower(string(name.Body[:min(len(name.Body), 16)])) {
		case "ntver":
			netlogon = true
		case "host":
			if banner.Host(x.Body, true) != "" {
				host = dissector.Text(x.Body, maxVendor)
			}
		case "dnsdomain":
			domain = banner.Host(x.Body, true)
		}
		return true
	})
	if !netlogon || host == "" && domain == "" {
		return
	}
	f := dissector.Fact{Kind: "netlogon_ping", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "client")
	f.Attributes.Set("computer_name", host)
	f.Attributes.Set("dns_domain", domain)
	c.Emit(&f)
}

// answer reads an entry: the root DSE, whose name is empty, and the attribute netlogon
// in it. Others are nobody's business.
func answer(c *dissector.Context, b []byte, s *stream) {
	name, rest, ok := ber.Next(b)
	if !ok || len(name.Body) > 0 {
		return
	}
	list, n, _, ok := ber.Header(rest)
	if !ok || n == 0 || !list.Is(ber.Universal, ber.Sequence) {
		return
	}
	f := dissector.Fact{Kind: "root_dse", Subject: dissector.Subject{Side: c.Side}}
	read := 0
	ber.Each(rest[n:], func(v ber.Value) bool {
		kind, values, ok := ber.Next(v.Body)
		if !ok {
			return true
		}
		set, _, ok := ber.Next(values)
		if !ok {
			return true
		}
		kindName := strings.ToLower(string(kind.Body[:min(len(kind.Body), 40)]))
		if kindName == "netlogon" {
			if first, _, ok := ber.Next(set.Body); ok && (s == nil || s.news("netlogon")) {
				netlogon(c, first.Body)
			}
		} else {
			rootDSE(&f.Attributes, kindName, set.Body)
		}
		read++
		return read < maxAttributes
	})
	if len(f.Attributes) == 0 || s != nil && !s.news("root_dse") {
		return
	}
	f.Attributes.Set("role", "server")
	c.Emit(&f)
}

// levels are the functional levels of a domain (MS-ADTS 3.1.1.3.2.27).
var levels = map[string]string{"0": "2000", "1": "2003 interim", "2": "2003", "3": "2008", "4": "2008 R2", "5": "2012", "6": "2012 R2", "7": "2016", "10": "2025"}

// rootDSE reads one attribute (RFC 4512 5.1, MS-ADTS 3.1.1.3.2, and those of makers).
func rootDSE(a *proto.Attributes, name string, values []byte) {
	first, _, ok := ber.Next(values)
	if !ok {
		return
	}
	v := first.Body
	switch name {
	case "dnshostname":
		a.Set("dns_computer_name", banner.Host(v, true))
	case "defaultnamingcontext":
		a.Set("dns_domain", domainOf(v))
	case "rootdomainnamingcontext":
		a.Set("dns_forest", domainOf(v))
	case "namingcontexts":
		if a.Get("dns_domain") == "" {
			a.Set("dns_domain", domainOf(v))
		}
	case "servername": // CN=DC1,CN=Servers,CN=Default-First-Site-Name,CN=Sites,...
		if part := strings.Split(dissector.Text(v, 512), ","); len(part) > 3 && strings.EqualFold(part[1], "CN=Servers") {
			a.Set("computer_name", part0(part[0]))
			a.Set("site", part0(part[2]))
		}
	case "vendorname":
		b := banner.Read(v)
		a.Set("manufacturer", b.Text)
	case "vendorversion":
		a.Set("software_version", dissector.Text(v, maxVendor))
	case "domainfunctionality", "domaincontrollerfunctionality", "forestfunctionality":
		a.Set(map[byte]string{'d': "functional_level", 'f': "forest_functional_level"}[name[0]], levels[string(v[:min(len(v), 4)])])
		if name == "domaincontrollerfunctionality" {
			a.Set("os_version", levels[string(v[:min(len(v), 4)])])
		}
	case "supportedsaslmechanisms":
		var list []string
		ber.Each(values, func(x ber.Value) bool {
			if m := sasl.Mechanism(x.Body); !slices.Contains(list, m) {
				list = append(list, m)
			}
			return len(list) < maxValues
		})
		a.SetList("mechanisms", list)
	}
}

// part0 is the value of "CN=value".
func part0(s string) string {
	_, v, _ := strings.Cut(s, "=")
	if banner.Host([]byte(v), true) == "" {
		return ""
	}
	return v
}

// domainOf makes "ward.example" of "DC=ward,DC=example"; "" where there is anything
// but domain components.
func domainOf(dn []byte) string {
	var labels []string
	for _, p := range strings.Split(string(dn[:min(len(dn), 512)]), ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(p), "=")
		if !ok || !strings.EqualFold(name, "dc") {
			return ""
		}
		labels = append(labels, value)
	}
	return banner.Host([]byte(strings.Join(labels, ".")), true)
}

// services are bits of the flags in a netlogon answer (MS-ADTS 6.3.1.2).
var services = []struct {
	bit  uint32
	name string
}{
	{0x1, "pdc"}, {0x4, "gc"}, {0x8, "ldap"}, {0x10, "ds"}, {0x20, "kdc"}, {0x40, "timeserv"}, {0x80, "closest"}, {0x100, "writable"}, {0x200, "good_timeserv"}, {0x800, "select_secret"}, {0x1000, "full_secret"}, {0x2000, "web_service"},
}

// Answers to a netlogon ping (MS-ADTS 6.3.1.3).
const (
	samLogonEx   = 23
	unknownEx    = 25
	pausedEx     = 24
	netlogonHead = 24 // opcode (2), zero (2), flags (4), GUID (16)
)

// netlogon reads a NETLOGON_SAM_LOGON_RESPONSE_EX (MS-ADTS 6.3.1.9): after its head
// forest, domain, host, NetBIOS domain, NetBIOS host, user, the server's site, and the
// client's, each a name as in DNS, with compression.
func netlogon(c *dissector.Context, b []byte) {
	if len(b) < netlogonHead {
		return
	}
	if op := binary.LittleEndian.Uint16(b); op != samLogonEx && op != unknownEx && op != pausedEx {
		return
	}
	f := dissector.Fact{Kind: "netlogon", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	flags := binary.LittleEndian.Uint32(b[4:])
	var list []string
	for _, s := range services {
		if flags&s.bit != 0 {
			list = append(list, s.name)
		}
	}
	a.SetList("services", list)
	at := netlogonHead
	clientSite := ""
	for _, attribute := range []string{"dns_forest", "dns_domain", "dns_computer_name", "netbios_domain", "computer_name", "user", "site", "client"} {
		name, next, ok := compressed(b, at)
		if !ok {
			c.Count("ldap_netlogon_malformed")
			break
		}
		at = next
		switch attribute {
		case "user":
		case "client":
			clientSite = name
		default:
			a.Set(attribute, name)
		}
	}
	c.Emit(&f)
	if clientSite != "" {
		g := dissector.Fact{Kind: "site", Subject: dissector.Subject{Side: c.Side.Peer()}}
		g.Attributes.Set("role", "client")
		g.Attributes.Set("site", clientSite)
		c.Emit(&g)
	}
}

// compressed reads a name at off (RFC 1035 4.1.4) that is made of a host's characters;
// an empty one is fine.
func compressed(b []byte, off int) (name string, next int, ok bool) {
	const longest = 255
	var out bytes.Buffer
	at := off
	for jumps := 0; ; {
		if at >= len(b) {
			return "", 0, false
		}
		n := int(b[at])
		switch {
		case n == 0:
			if next == 0 {
				next = at + 1
			}
			s := dissector.Text(out.Bytes(), longest)
			if s != "" && banner.Host([]byte(s), true) == "" {
				s = ""
			}
			return s, next, true
		case n&0xc0 == 0xc0:
			if at+1 >= len(b) || jumps > 8 {
				return "", 0, false
			}
			if next == 0 {
				next = at + 2
			}
			at = (n&0x3f)<<8 | int(b[at+1])
			jumps++
			continue
		case n > 63 || at+1+n > len(b) || out.Len()+n > longest:
			return "", 0, false
		}
		if out.Len() > 0 {
			out.WriteByte('.')
		}
		out.Write(b[at+1 : at+1+n])
		at += 1 + n
	}
}
