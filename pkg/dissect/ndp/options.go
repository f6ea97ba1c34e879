package ndp

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// The options that are read (IANA IPv6 Neighbor Discovery Option Formats). Each
// has its type and its length in units of eight bytes first.
const (
	optSource   = 1
	optTarget   = 2
	optPrefix   = 3
	optMTU      = 5
	optRoute    = 24
	optServers  = 25
	optDomains  = 31
	maxDomain   = 255
	ethernet    = 8 // bytes of an option with an Ethernet address
	prefixSize  = 32
	serversHead = 8
)

// options reads all options; false for one of no length, or beyond the end.
func (m *discovery) options(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 2 || b[1] == 0 || 8*int(b[1]) > len(b) {
			return false
		}
		v := b[:8*int(b[1])]
		m.option(v)
		b = b[len(v):]
	}
	return true
}

func (m *discovery) option(v []byte) {
	switch v[0] {
	case optSource:
		m.source = mac(v)
	case optTarget:
		m.target = mac(v)
	case optMTU:
		if len(v) == 8 {
			m.mtu = binary.BigEndian.Uint32(v[4:])
		}
	case optPrefix: // 2 length   3 flags   4 valid   8 preferred   16 prefix
		if len(v) == prefixSize && v[2] <= 128 {
			add(&m.prefixes, addr(v[16:]).String()+"/"+strconv.Itoa(int(v[2])))
		}
	case optRoute: // 2 length   3 preference   4 lifetime   8 as much of the prefix as there is
		if v[2] <= 128 {
			var p [16]byte
			copy(p[:], v[min(8, len(v)):])
			add(&m.routes, addr(p[:]).String()+"/"+strconv.Itoa(int(v[2])))
		}
	case optServers: // 4 lifetime   8 addresses
		for x := v[serversHead:]; len(x) >= 16; x = x[16:] {
			add(&m.servers, addr(x).String())
		}
	case optDomains:
		if m.domain == "" {
			m.domain = domain(v[serversHead:])
		}
	}
}

func add(list *[]string, s string) {
	if len(*list) < maxList && !slices.Contains(*list, s) {
		*list = append(*list, s)
	}
}

// mac is the Ethernet address in an option; other hardware has other sizes.
func mac(v []byte) (m proto.MAC) {
	if len(v) == ethernet {
		m = proto.MAC(v[2:8])
	}
	if m.IsGroup() {
		return proto.MAC{}
	}
	return m
}

// domain is the first of a list of names (RFC 1035 3.1).
func domain(b []byte) string {
	var s []byte
	for len(b) > 0 && b[0] > 0 {
		n := int(b[0])
		if n > 63 || 1+n > len(b) {
			return ""
		}
		if len(s) > 0 {
			s = append(s, '.')
		}
		s = append(s, b[1:1+n]...)
		b = b[1+n:]
	}
	return dissector.Text(s, maxDomain)
}
