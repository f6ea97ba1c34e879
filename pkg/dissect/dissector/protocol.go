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

// Begins asks for one of some beginnings.
func Begins(b []byte, list ...string) Verdict {
	verdict := No
	for _, s := range list {
		n := min(len(b), len(s))
		switch {
		case string(b[:n]) != s[:n]:
		case n == len(s):
			return Yes
		default:
			verdict = More
		}
	}
	return verdict
}

// MaxPrefix is the most bytes of a stream that Recognise ever gets; More for that
// many counts as No.
const MaxPrefix = 1024

// Protocol is what a protocol's package registers. Any of the three ways in may
// be nil.
type Protocol struct {
	Name  string
	Ports []uint16 // where it is at home: asked first there, and the last-resort label of flows whose content told nothing

	// AtHome says that the content is only looked at on one of Ports, because it has too
	// little of its own to be known anywhere.
	AtHome bool

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
	// on anything but Yes it has emitted nothing. More says that the next datagram will
	// tell, with what it needs for that in c.State; on No it has left c.State as it was.
	// known is true on a flow that was recognised before: then a No is a malformed message.
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

// State is what a protocol keeps of a flow of datagrams from one to the next. It
// keeps a bounded amount, and never a patient's data.
type State interface {
	// End says that the flow is over: the time for a summary.
	End(c *Context)
	// Size is about how many bytes are kept.
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
	// Done says that the rest of the flow has nothing of interest: it is neither
	// put together nor read, and what was kept of it is given back without an End.
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
	State   State // in a Datagram: what the protocol has left here at the flow's earlier ones, nil at first
}

// Emit gives a fact away, at the time of the packet in hand.
func (c *Context) Emit(f *Fact) {
	f.Time = c.Headers.Time
	c.Sink.Emit(f)
}

// Count counts an event.
func (c *Context) Count(name string) { c.Sink.Count(name) }
