package dissector

import (
	"net/netip"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// Verdict is what a protocol says of bytes that may be its own.
type Verdict uint8

// The verdicts.
const (
	No   Verdict = iota // not this protocol
	More                // not to be said yet
	Yes                 // this protocol
)

// MaxPrefix is the most bytes of a stream that Recognise ever gets; More for that
// many counts as No.
const MaxPrefix = 1024

// Protocol is what a protocol's package registers. Any of the three ways in may
// be nil.
type Protocol struct {
	Name  string
	Ports []uint16 // the last-resort label of flows whose content told nothing

	// Frame dissects what follows the EtherType of a frame without IP. Where EtherType
	// is 0, that is LLC (IEEE 802.2), which several protocols share: each looks whether
	// the frame is its own.
	EtherType uint16
	Frame     func(c *Context, b []byte)

	// Message dissects an IP packet whose transport is Transport, neither TCP nor UDP;
	// b begins with that transport's header. On anything but Yes it has emitted nothing.
	Transport proto.Transport
	Message   func(c *Context, b []byte) Verdict

	// Datagram dissects a UDP payload and says whether it was the protocol's;
	// on anything but Yes it has emitted nothing. known is true on a flow that
	// was recognised before: then a No is a malformed message.
	Datagram func(c *Context, b []byte, known bool) Verdict

	// Recognise judges the first bytes of one direction of a TCP connection, or,
	// midstream, the bytes of some segment. NewStream then makes its dissector.
	Recognise func(prefix []byte, midstream bool) Verdict
	NewStream func() Stream
}

// Stream dissects both directions of one TCP connection; Context.Side says which
// direction is meant. It keeps a bounded amount and never a patient's data longer
// than it takes to step over them.
type Stream interface {
	Data(c *Context, b []byte)
	// Gap says that n bytes are missing, -1 for an unknown number.
	Gap(c *Context, n int64)
	// End says that the direction is over.
	End(c *Context)
	// Size is about how many bytes the stream keeps.
	Size() int
}

// Sink takes what dissectors have to say.
type Sink interface {
	Emit(f *Fact)
	// Count counts an event under a name of lower-case words; the name never
	// comes from the packet.
	Count(name string)
	// Inner adds a protocol that rides on this one to the flow's label.
	Inner(name string)
	// Expect says that a flow of this transport with that end, begun within the next
	// minutes, is of the named protocol: FTP's data, a TFTP transfer, what SIP agreed on.
	// Such a flow is labelled by context; a registered protocol of that name gets its
	// datagrams as known ones. What the flow's content says goes before it.
	Expect(t proto.Transport, end netip.AddrPort, name string)
	// Done says that the rest of the TCP connection has nothing of interest: it
	// is neither put together nor read, and what was kept of it is given back.
	Done()
}

// Context is what a dissector may know and do during one call. It must not be
// kept.
type Context struct {
	Headers *packet.Headers // of the packet in hand; of the last one, at the end of a flow
	Side    Side            // who sent the bytes in hand
	Key     []byte          // of the site's HMACs
	Inside  func(netip.Addr) bool
	Sink    Sink

	// Memo is what a protocol of weak signature remembers of a UDP flow's datagrams
	// while they are not recognised, one for each side; only rtp does. nil elsewhere.
	Memo *[2]uint64
}

// Emit gives a fact away, at the time of the packet in hand.
func (c *Context) Emit(f *Fact) {
	f.Time = c.Headers.Time
	c.Sink.Emit(f)
}

// Count counts an event.
func (c *Context) Count(name string) { c.Sink.Count(name) }
