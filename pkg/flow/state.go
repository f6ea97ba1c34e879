package flow

import (
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// tcpState is how far one end of a TCP connection has come, as seen from outside.
type tcpState uint8

const (
	inactive    tcpState = iota // has sent nothing
	partial                     // has sent, but its opening was not seen
	synSent                     // has sent a SYN
	synAckSent                  // has sent a SYN-ACK to a SYN that was not seen
	established                 // both ends have opened
	closed                      // has sent a FIN
	reset                       // has sent a RST
)

// follow applies one segment: dir is its sender, 0 for the side that opened the flow.
func follow(ends *[2]tcpState, dir int, flags uint8) {
	me, peer := &ends[dir], &ends[1-dir]
	switch {
	case flags&packet.RST != 0:
		// A RST behind two FINs closes nothing any more.
		if *me != closed || *peer != closed {
			*me = reset
		}
	case *me == closed || *me == reset:
	case flags&packet.FIN != 0:
		*me = closed
	case flags&packet.SYN != 0:
		open(me, peer, flags&packet.ACK != 0)
	case *me == inactive && *peer != synAckSent:
		*me = partial
	case *peer == synAckSent: // the answer to it
		*me, *peer = established, established
	}
}

// open applies a SYN or SYN-ACK.
func open(me, peer *tcpState, ack bool) {
	switch {
	case ack && *peer == synSent, !ack && *peer == synAckSent:
		*me, *peer = established, established
	case *me != inactive && *me != synSent:
	case ack:
		*me = synAckSent
	default:
		*me = synSent
	}
}

// over reports that nothing more is to come: both ends are closed, or one has
// reset the connection.
func over(ends [2]tcpState) bool {
	return ends[0] == reset || ends[1] == reset || (ends[0] == closed && ends[1] == closed)
}

// stateName names the state of a flow as Zeek's conn.log does (the table of
// conn_state in Zeek's documentation). talked says which sides have sent
// anything, payload that any has been carried.
func stateName(t proto.Transport, ends [2]tcpState, talked [2]bool, payload bool) string {
	switch {
	case t == proto.UDP && talked[0] && talked[1]:
		return "SF"
	case t == proto.UDP:
		return "S0"
	case t != proto.TCP:
		return "OTH"
	}
	src, dst := ends[0], ends[1]
	unopened := func(s tcpState) bool { return s == inactive || s == partial }
	pick := func(first bool, yes, no string) string {
		if first {
			return yes
		}
		return no
	}
	switch {
	case dst == reset && (src == synSent || src == synAckSent || (src == reset && !payload)):
		return "REJ"
	case dst == reset:
		return pick(unopened(src), "RSTRH", "RSTR")
	case src == reset:
		return pick(unopened(dst), "RSTOS0", "RSTO")
	case src == closed && dst == closed:
		return "SF"
	case src == closed:
		return pick(unopened(dst), "SH", "S2")
	case dst == closed:
		return pick(unopened(src), "SHR", "S3")
	case src == synSent && dst == inactive:
		return "S0"
	case src == established && dst == established:
		return "S1"
	}
	return "OTH"
}
