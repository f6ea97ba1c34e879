package wsdiscovery

import (
	"bytes"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/sdc"
	"github.com/wardflow/wardflow/proto"
)

const maxList = 16

// tell says what the message says that was not told yet.
func (m *message) tell(c *dissector.Context, st *state) {
	kind := kinds[m.kind]
	if len(m.matches) == 0 { // without a body that can be read, or with no match
		m.matches = append(m.matches, match{})
	}
	if m.skipped > 0 {
		c.Count("ws_discovery_matches_skipped")
	}
	for i := range m.matches {
		x := &m.matches[i]
		medical := slices.Contains(x.types, "mdpws:MedicalDevice")
		if medical {
			c.Sink.Inner("sdc")
		}
		if !st.news(sum(kind, x)) {
			continue
		}
		f := dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: c.Side}}
		a := &f.Attributes
		if len(m.matches) > 1 && !m.of(c, x, &f.Subject) {
			continue
		}
		if m.kind == probe || m.kind == resolve {
			a.Set("role", "client")
			a.SetList("types", x.types)
			c.Emit(&f)
			continue
		}
		a.Set("role", "server")
		a.Set("device_uid", x.uid)
		a.Set("mac", node(c, x.uid))
		a.SetList("types", x.types)
		a.SetList("xaddrs", addresses(c, x.xaddrs))
		a.Set("metadata_version", x.version)
		a.Set("instance_id", m.instance)
		onvif(c, a, x.scopes)
		c.Emit(&f)
		if scopes := sdc.ReadScopes(x.scopes); medical || scopes.Known() {
			s := dissector.Fact{Protocol: "sdc", Kind: "announcement", Subject: f.Subject}
			scopes.Attributes(&s.Attributes)
			c.Emit(&s)
		}
	}
}

// of finds out who is meant where one answers for several: the address of the device,
// if it is of the family that is spoken here.
func (m *message) of(c *dissector.Context, x *match, s *dissector.Subject) bool {
	own := c.Headers.SrcIP
	var other netip.Addr
	for _, w := range bytes.Fields(x.xaddrs) {
		u, err := url.Parse(string(w))
		if err != nil {
			continue
		}
		ip, err := netip.ParseAddr(u.Hostname())
		ip = ip.WithZone("")
		if err == nil && ip == own.WithZone("") {
			return true
		}
		if err == nil && !other.IsValid() && ip.Is4() == own.Is4() && c.Inside(ip) {
			other = ip
		}
	}
	if !other.IsValid() {
		c.Count("ws_discovery_matches_skipped")
		return false
	}
	*s = dissector.Subject{Side: dissector.Other, IP: other}
	return true
}

// uuid reads "urn:uuid:ID", "uuid:ID" or the id alone.
func uuid(v []byte) string {
	s := strings.ToLower(dissector.Text(v, 64))
	s = strings.TrimPrefix(strings.TrimPrefix(s, "urn:"), "uuid:")
	if len(s) != 36 {
		return ""
	}
	for i, r := range s {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if hyphen != (r == '-') || !hyphen && !strings.ContainsRune("0123456789abcdef", r) {
			return ""
		}
	}
	return s
}

// node is the MAC in a UUID: its last part where the UUID is made of time and node
// (RFC 9562 5.1), or where it is the sender's own.
func node(c *dissector.Context, uid string) string {
	if uid == "" {
		return ""
	}
	hw, err := net.ParseMAC(strings.Join([]string{uid[24:26], uid[26:28], uid[28:30], uid[30:32], uid[32:34], uid[34:36]}, ":"))
	if err != nil || len(hw) != 6 || hw[0]&3 != 0 {
		return "" // of a group, or made up
	}
	if m := proto.MAC(hw); !m.IsZero() && (m == c.Headers.SrcMAC || uid[14] == '1' && (uid[19] == '8' || uid[19] == '9' || uid[19] == 'a' || uid[19] == 'b')) {
		return m.String()
	}
	return ""
}

// addresses are the transport addresses as scheme, host and port: their paths are
// the device's own.
func addresses(c *dissector.Context, v []byte) []string {
	var list []string
	for _, w := range bytes.Fields(v) {
		u, err := url.Parse(string(w))
		if err != nil || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
			c.Count("ws_discovery_address_malformed")
			continue
		}
		host, p := u.Hostname(), u.Port()
		if ip, err := netip.ParseAddr(host); err == nil {
			host = ip.WithZone("").String()
		} else if !hostname(host) || u.Path == "" { // without a path it may be a user's name that was cut short
			c.Count("ws_discovery_address_malformed")
			continue
		}
		if p == "" {
			p = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			c.Count("ws_discovery_address_malformed")
			continue
		}
		list = add(list, u.Scheme+"://"+net.JoinHostPort(host, p))
	}
	return list
}

func hostname(s string) bool {
	return s != "" && len(s) <= 253 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

func add(list []string, s string) []string {
	if len(list) == maxList || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// number is a count, "" for anything else.
func number(v []byte) string {
	if len(v) == 0 || len(v) > 10 || len(bytes.Trim(v, "0123456789")) > 0 {
		return ""
	}
	return string(v)
}
