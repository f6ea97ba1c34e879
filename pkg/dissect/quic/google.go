package quic

import (
	"bytes"
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Google's QUIC before the standard's. Up to Q043 a packet begins with
//
//	flags | connection id (8) | version (4), where the flags say so | ...
//
// and in Q044 to Q049 like the drafts of its days, with both lengths in one byte:
//
//	1... | version (4) | lengths | ids | ...
//
// A client's first packets are in clear and carry its hello: CHLO, a count, and
// for each tag where its value ends.
const (
	googleVersion = 0x01 // there is a version
	googleReset   = 0x02
	googleID      = 0x08 // there is a connection id

	maxTags    = 64
	maxSearch  = 64 // bytes before the hello
	maxAgent   = 128
	maxHostLen = 255
)

var (
	chlo = []byte("CHLO")
	rej  = []byte("REJ\x00")
)

// googles reports a version of Google's, in its letters.
func googles(b []byte) bool {
	return len(b) >= 4 && b[0] == 'Q' && b[1] == '0' && b[2] >= '0' && b[2] <= '9' && b[3] >= '0' && b[3] <= '9'
}

// google judges a packet of Google's, and gives its version's name.
func google(b []byte) (name string, ok bool) {
	switch {
	case len(b) < 14:
	case b[0]&formLong != 0:
		if googles(b[1:]) && b[3] == '4' && (b[5] == 0x50 || b[5] == 0x05) {
			return string(b[1:5]), true
		}
	case b[0]&0xc0 == 0 && b[0]&(googleVersion|googleReset|googleID) == googleVersion|googleID && googles(b[9:]):
		return string(b[9:13]), true
	}
	return "", false
}

// rejection knows what Google's servers answer to a first hello, from the port.
func rejection(c *dissector.Context, b []byte) bool {
	if c.Headers.SrcPort != port || len(b) < maxSearch || b[0]&0xc0 != 0 {
		return false
	}
	i := bytes.Index(b[:maxSearch], rej)
	return i > 0 && i+8 <= len(b) && b[i+4] > 0 && b[i+4] <= maxTags && b[i+5] == 0
}

// googleHello tells the client's hello, where the packet has it.
func (s *state) googleHello(c *dissector.Context, b []byte, name string) {
	i := bytes.Index(b[:min(len(b), maxSearch)], chlo)
	if i < 0 || s.told[client] {
		return
	}
	sni, agent, ok := tags(b[i:])
	if !ok {
		return
	}
	s.told[client] = true
	f := dissector.Fact{Kind: "client_hello", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "client")
	f.Attributes.Set("quic_version", name)
	f.Attributes.Set("sni", host(c, sni))
	f.Attributes.Set("user_agent", userAgent(c, agent))
	c.Emit(&f)
}

// host is the name in lower case where it looks like one.
func host(c *dissector.Context, b []byte) string {
	if len(b) > maxHostLen {
		b = nil
	}
	for _, x := range b {
		if (x < 'a' || x > 'z') && (x < 'A' || x > 'Z') && (x < '0' || x > '9') && x != '.' && x != '-' && x != '_' && x != ':' {
			c.Count("quic_sni_withheld")
			return ""
		}
	}
	return string(bytes.ToLower(b))
}

// userAgent is the program's name and the system's.
func userAgent(c *dissector.Context, b []byte) string {
	s := dissector.Text(b, maxAgent)
	if bytes.IndexByte(b, '@') >= 0 {
		c.Count("quic_user_agent_withheld")
		return ""
	}
	return s
}

// tags finds two values of a hello: SNI and UAID.
func tags(b []byte) (sni, agent []byte, ok bool) {
	if len(b) < 8 {
		return nil, nil, false
	}
	n := int(binary.LittleEndian.Uint16(b[4:]))
	if n == 0 || n > maxTags || len(b) < 8+8*n {
		return nil, nil, false
	}
	values, start := b[8+8*n:], 0
	for i := range n {
		entry := b[8+8*i:]
		end := binary.LittleEndian.Uint32(entry[4:])
		if end < uint32(start) || end > uint32(len(values)) {
			return sni, agent, i > 0 // the rest is in another packet
		}
		switch string(entry[:4]) {
		case "SNI\x00":
			sni = values[start:end]
		case "UAID":
			agent = values[start:end]
		}
		start = int(end)
	}
	return sni, agent, true
}
