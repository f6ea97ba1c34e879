package dissect

import "github.com/wardflow/wardflow/proto"

// Light is what an Engine knows of a flow, where two bytes are enough for it: most
// flows of a network carry nothing, or nothing that is recognised, or datagrams of
// a protocol that keeps nothing of them, and need no Flow between their packets.
// The zero Light is a new flow's.
//
//	 15         14 ... 5     4         3      2 ... 0
//	+----------+------------+---------+------+-------+
//	|receiver's| protocol+1 | guessed | done | tries |
//	+----------+------------+---------+------+-------+
type Light uint16

// The parts of a Light.
const (
	lightTries     Light = 7
	lightDone      Light = 1 << 3
	lightGuessed   Light = 1 << 4
	lightProtocol        = 5
	lightProtocols       = 1<<10 - 1 // that have a number

	// LightMark is free for the receiver.
	LightMark Light = 1 << 15
)

// Done reports that there is nothing more to learn: the flow's packets need not be
// told.
func (l Light) Done() bool { return l&lightDone != 0 }

// Guessed reports that the flow is labelled by its port, as PortName does.
func (l Light) Guessed() bool { return l&lightGuessed != 0 }

// Light gives a flow as two bytes, where that is enough. Not in them is the number
// of the SYN that opened the flow, which Opened tells again.
func (e *Engine) Light(f *Flow) (l Light, ok bool) {
	if f.conn != nil || len(f.Inner) > 0 || (f.syn[Dst] && !f.done) { // nobody else knows the number of that SYN
		return 0, false
	}
	l = min(Light(f.tries), lightTries)
	if f.done {
		l |= lightDone
	}
	switch {
	case f.By == proto.ByContent:
		p := f.proto
		if p == nil {
			p = e.messages[e.packet.Headers.Transport]
		}
		n, known := e.numbers[p]
		return l | (n+1)<<lightProtocol, known && p.Name == f.Protocol
	case f.proto != nil:
		return 0, false
	case f.By == proto.ByPort:
		l |= lightGuessed
	case f.Protocol != "":
		return 0, false
	}
	return l, true
}

// Resume makes a new Flow what it was when Light gave l. A guess by port is made
// again when it is needed.
func (e *Engine) Resume(f *Flow, l Light) {
	f.tries, f.done = uint8(l&lightTries), l.Done()
	if n := l &^ LightMark >> lightProtocol; n > 0 {
		f.proto = e.all[n-1]
		f.recognised(f.proto.Name)
	}
}

// Protocol names the protocol of a flow that was recognised by its content, ""
// where it was not.
func (e *Engine) Protocol(l Light) string {
	if n := l &^ LightMark >> lightProtocol; n > 0 {
		return e.all[n-1].Name
	}
	return ""
}

// Opened tells a new Flow the number of a SYN that was seen before.
func (f *Flow) Opened(side Side, isn uint32) { f.isn[side], f.syn[side] = isn, true }
