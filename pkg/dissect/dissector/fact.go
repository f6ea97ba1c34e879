package dissector

import (
	"net/netip"

	"github.com/wardflow/wardflow/proto"
)

// Side says who of a flow is meant.
type Side uint8

// The sides of a flow. Without a flow (ARP), Src is the sender of the frame.
const (
	Src   Side = iota // opened the flow
	Dst               // the other end
	Other             // neither: known only by what the Subject says
)

// Peer is the other end; Other stays Other.
func (s Side) Peer() Side {
	switch s {
	case Src:
		return Dst
	case Dst:
		return Src
	}
	return Other
}

// Subject is whom a fact is about. MAC and IP, where set, come from inside the
// protocol and go before the addresses of the side's packets.
type Subject struct {
	Side      Side
	MAC       proto.MAC
	IP        netip.Addr
	Equipment string // the protocol's own unique id of a device that does not speak itself
	Gateway   Side   // who spoke for it; only with Equipment
}

// Fact is one thing that a protocol said about a device. Kind and the attributes
// of each protocol are listed in pkg/dissect/EMITS.md.
type Fact struct {
	Time       proto.Time // of the packet that completed the message
	Subject    Subject
	Protocol   string
	Kind       string
	Attributes proto.Attributes
}
