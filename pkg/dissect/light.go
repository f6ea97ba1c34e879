package dissect

import "github.com/wardflow/wardflow/proto"

// What Light keeps of a flow.
const (
	lightTries   uint8 = 7 // how many were tried in vain
	lightDone    uint8 = 1 << 3
	lightGuessed uint8 = 1 << 4 // labelled by its port
)

// Light gives what the engine knows of a flow in a byte, where that is enough:
// most flows of a network carry nothing, or nothing that is recognised, and need
// no Flow of their own between their packets. Not in it is the number of the SYN
// that opened the flow, which Opened tells again.
func (f *Flow) Light() (state uint8, ok bool) {
	if f.conn != nil || f.proto != nil || len(f.Inner) > 0 || (f.Protocol != "" && f.By != proto.ByPort) {
		return 0, false
	}
	if f.syn[Dst] && !f.done {
		return 0, false // nobody else knows its number
	}
	state = min(f.tries, lightTries)
	if f.done {
		state |= lightDone
	}
	if f.Protocol != "" {
		state |= lightGuessed
	}
	return state, true
}

// Resume makes a new Flow what it was when Light gave state. A guess by port is
// made again when it is needed.
func (f *Flow) Resume(state uint8) {
	f.tries, f.done = state&lightTries, state&lightDone != 0
}

// LightDone reports that there is nothing more to learn of a flow that is kept as
// state, so that its packets need not be told.
func LightDone(state uint8) bool { return state&lightDone != 0 }

// LightGuessed reports that PortName labels a flow that is kept as state.
func LightGuessed(state uint8) bool { return state&lightGuessed != 0 }

// Opened tells a new Flow the number of a SYN that was seen before.
func (f *Flow) Opened(side Side, isn uint32) { f.isn[side], f.syn[side] = isn, true }
