// Package rdp dissects the beginning of the Remote Desktop Protocol (MS-RDPBCGR,
// MS-RDPEUDP): which protection a client asks for and a server chooses, and, without
// TLS, what both say of themselves.
//
// Here live the X.224 connection request, the negotiation, and the MCS connect
// messages of old connections. The user's name in the cookie is judged and forgotten.
// What follows the negotiation of TLS is pkg/dissect/tls's; nothing else of a session
// is read.
package rdp

import (
	"bytes"
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is RDP over TCP, and the handshake of its UDP transport.
var Protocol = dissector.Protocol{
	Name: "rdp", Ports: []uint16{3389},
	Datagram:  datagram,
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// Parts of TPKT and X.224 (RFC 1006, ITU-T X.224).
const (
	tpktHeader = 4
	request    = 0xe0
	confirm    = 0xd0
	dataPDU    = 0xf0
	fixedPart  = 7 // of a request: length, type, two references, class
	negRequest = 1
	negAnswer  = 2
	negFailure = 3
	negLength  = 8
)

var (
	cookie        = []byte("Cookie: ")
	connectPDU    = []byte{0x02, 0xf0, 0x80, 0x7f, 0x65} // MCS connect initial
	connectAnswer = []byte{0x02, 0xf0, 0x80, 0x7f, 0x66}
)

// recognise wants an X.224 connection request or confirm that is whole and carries
// RDP's negotiation or its cookie. One without either is followed by MCS.
//
//	03 00 | length (2) | length indicator | e0 or d0 | destination (2) | source (2) | class 0 | cookie | negotiation (8)
func recognise(b []byte, midstream bool) dissector.Verdict {
	want := []byte{3, 0}
	if n := min(len(b), 2); !bytes.Equal(b[:n], want[:n]) {
		return dissector.No
	}
	if len(b) < tpktHeader+2 {
		return dissector.More
	}
	total, indicator, kind := int(binary.BigEndian.Uint16(b[2:])), int(b[4]), b[5]
	if kind == dataPDU && midstream {
		return mcs(b[tpktHeader:])
	}
	if kind != request && kind != confirm || total != tpktHeader+1+indicator || indicator < fixedPart-1 {
		return dissector.No
	}
	if len(b) < total {
		if total > 512 {
			return dissector.No
		}
		return dissector.More
	}
	if b[tpktHeader+6] != 0 { // class 0
		return dissector.No
	}
	rest := b[tpktHeader+fixedPart : total]
	switch {
	case len(rest) == 0:
		if len(b) == total {
			return dissector.More
		}
		next := b[total:]
		if n := min(len(next), 2); !bytes.Equal(next[:n], want[:n]) {
			return dissector.No
		}
		if len(next) < tpktHeader {
			return dissector.More
		}
		return mcs(next[tpktHeader:])
	case bytes.HasPrefix(rest, cookie), negotiation(rest, kind):
		return dissector.Yes
	}
	return dissector.No
}

// mcs judges what stands in a TPKT: an MCS connect message.
func mcs(b []byte) dissector.Verdict {
	n := min(len(b), len(connectPDU))
	switch {
	case !bytes.Equal(b[:n], connectPDU[:n]) && !bytes.Equal(b[:n], connectAnswer[:n]):
		return dissector.No
	case n < len(connectPDU):
		return dissector.More
	}
	return dissector.Yes
}

// negotiation holds for type, flags, a length of 8 and known bits.
func negotiation(b []byte, kind byte) bool {
	if len(b) < negLength || binary.LittleEndian.Uint16(b[2:]) != negLength {
		return false
	}
	value := binary.LittleEndian.Uint32(b[4:])
	if kind == request {
		return b[0] == negRequest && value < 0x100
	}
	return b[0] == negAnswer && value < 0x100 || b[0] == negFailure && value < 0x20
}

// Parts of a datagram that begins a connection over UDP (MS-RDPEUDP 2.2.2.1).
const (
	udpHeader = 8
	udpSyn    = 16 // with the initial numbers
	flagSyn   = 1
	flagAck   = 4
	flagData  = 8
	udpTLS    = 48 // where a record begins at the latest
	minMTU    = 1132
	maxMTU    = 1232
)

// datagram wants the SYN of RDP's UDP transport: an acknowledgement of nothing, the
// flag, and two sizes between the limits of the standard; on RDP's port also data
// that are TLS's. What follows is encrypted, and nothing is told of it.
//
//	acknowledged (4) | window (2) | flags (2) | initial number (4) | upstream (2) | downstream (2)
func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	if known {
		return dissector.Yes
	}
	if len(b) < udpSyn {
		return dissector.No
	}
	flags := binary.BigEndian.Uint16(b[6:])
	up, down := binary.BigEndian.Uint16(b[12:]), binary.BigEndian.Uint16(b[14:])
	home := c.Headers.DstPort == 3389 || c.Headers.SrcPort == 3389
	if home && flags&^0x1fff == 0 && flags&(flagSyn|flagAck|flagData) == flagAck|flagData && bytes.Contains(b[udpHeader:min(len(b), udpTLS)], []byte{0x16, 3}) {
		return dissector.Yes
	}
	switch {
	case flags&flagSyn == 0, flags&^0x1fff != 0, up < minMTU, up > maxMTU, down < minMTU, down > maxMTU:
		return dissector.No
	case flags&flagAck == 0 && binary.BigEndian.Uint32(b) != 0xffffffff, c.Headers.PayloadLen < minMTU:
		return dissector.No
	}
	f := dissector.Fact{Kind: "udp_transport", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", map[bool]string{true: "server", false: "client"}[flags&flagAck != 0])
	c.Emit(&f)
	return dissector.Yes
}
