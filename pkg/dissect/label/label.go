// Package label knows protocols of which only the name is told: that a flow is
// PostgreSQL, WireGuard or BGP says what a device talks, and no more is read of it.
//
// Here live their recognisers, by content; where that is too little to go by, on the
// protocol's own port only (AtHome). A protocol of which facts are told has a package of
// its own beside this one. Each recogniser names the document that its layout is from.
package label

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocols are all of them, for the list in pkg/dissect/registry.go.
var Protocols = slices.Concat(databases, messaging, networks, tunnels, shares, control, old)

// datagram is what knows a UDP payload.
type datagram func(c *dissector.Context, b []byte) bool

// first is what knows the first bytes of a direction of a TCP connection.
type first func(b []byte) dissector.Verdict

// udp makes a protocol of datagrams that is known by one of them.
func udp(name string, is datagram, ports ...uint16) *dissector.Protocol {
	return &dissector.Protocol{Name: name, Ports: ports, Datagram: func(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
		if !is(c, b) {
			return dissector.No
		}
		c.Sink.Done()
		return dissector.Yes
	}}
}

// tcp makes a protocol of TCP that is known by the first bytes of a direction.
func tcp(name string, is first, ports ...uint16) *dissector.Protocol {
	return &dissector.Protocol{
		Name: name, Ports: ports, NewStream: func() dissector.Stream { return quiet{} },
		Recognise: func(b []byte, _ bool) dissector.Verdict { return is(b) },
	}
}

// both makes a protocol of both.
func both(name string, is first, like datagram, ports ...uint16) *dissector.Protocol {
	p := tcp(name, is, ports...)
	p.Datagram = udp(name, like).Datagram
	return p
}

// atHome restricts a protocol to its ports.
func atHome(p *dissector.Protocol) *dissector.Protocol {
	p.AtHome = true
	return p
}

// quiet is the stream of a protocol that has said all it has to say.
type quiet struct{}

func (quiet) Data(c *dissector.Context, _ []byte) { c.Sink.Done() }
func (quiet) Gap(c *dissector.Context, _ int64)   { c.Sink.Done() }
func (quiet) End(*dissector.Context)              {}
func (quiet) Size() int                           { return 0 }

// begins asks for one of some beginnings.
func begins(list ...string) first {
	return func(b []byte) dissector.Verdict { return dissector.Begins(b, list...) }
}

// whole makes of a check of at least n bytes, the first one of start, one that waits
// for them.
func whole(start string, n int, is func(b []byte) bool) first {
	return func(b []byte) dissector.Verdict {
		switch {
		case len(b) > 0 && strings.IndexByte(start, b[0]) < 0:
			return dissector.No
		case len(b) < n:
			return dissector.More
		case is(b):
			return dissector.Yes
		}
		return dissector.No
	}
}

// yes is the verdict of a bool.
func yes(is bool) dissector.Verdict {
	if is {
		return dissector.Yes
	}
	return dissector.No
}

func be16(b []byte) int { return int(binary.BigEndian.Uint16(b)) }
func be32(b []byte) int { return int(binary.BigEndian.Uint32(b)) }
func le16(b []byte) int { return int(binary.LittleEndian.Uint16(b)) }
func le32(b []byte) int { return int(binary.LittleEndian.Uint32(b)) }

// printable reports that b is ASCII text without control characters.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// on reports that one of the packet's ports is among ports.
func on(c *dissector.Context, ports ...uint16) bool {
	return slices.Contains(ports, c.Headers.DstPort) || slices.Contains(ports, c.Headers.SrcPort)
}
