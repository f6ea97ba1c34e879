package openvpn

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// Protocol is OpenVPN, over UDP and over TCP.
var Protocol = dissector.Protocol{
	Name: "openvpn", Ports: []uint16{port},
	Datagram: datagram, Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	port     = 1194
	maxReset = 1 + session + 64 + replay + 1 + 4 + 40
)

// datagram knows a hard reset of either side: one that begins a session and acknowledges
// nothing anywhere, any other on the protocol's port, where it may be wrapped (tls-crypt).
func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	t, _ := c.State.(*tunnel)
	if !known {
		at := c.Headers.DstPort == port || c.Headers.SrcPort == port
		if !begins(b, at) {
			return dissector.No
		}
	}
	if t == nil {
		t = new(tunnel)
		c.State = t
	}
	if !t.packet(c, b) {
		if !known {
			c.Sink.Done() // wrapped
			return dissector.Yes
		}
		return dissector.No
	}
	return dissector.Yes
}

// begins judges a first packet.
func begins(b []byte, home bool) bool {
	if len(b) < 1+session+1+4 || len(b) > maxReset {
		return false
	}
	switch b[0] {
	case resetClientV2 << 3, resetClientV3 << 3, resetServerV2 << 3:
	case resetClientV1 << 3, resetServerV1 << 3:
		if !home {
			return false
		}
	default:
		return false
	}
	p, hmac, ok := reset(b)
	return ok && p.acks == 0 && (hmac == 0 || p.replay <= maxBegun) || home && (ok || b[0] != resetClientV1<<3 && b[0] != resetServerV1<<3)
}

// recognise is the same behind a length.
func recognise(b []byte, _ bool) dissector.Verdict {
	if len(b) < 2 {
		return dissector.More
	}
	n := int(binary.BigEndian.Uint16(b))
	switch {
	case n < 1+session+1+4 || n > maxReset:
		return dissector.No
	case len(b) > 2 && b[2] != resetClientV2<<3 && b[2] != resetClientV3<<3 && (len(b) < 2+n || b[2] != resetServerV2<<3):
		return dissector.No
	case len(b) < 2+n:
		return dissector.More
	case len(b) == 2+n && begins(b[2:], false):
		return dissector.Yes
	}
	return dissector.No
}

// stream is a tunnel over TCP: before each packet is its length (2).
type stream struct {
	tunnel tunnel
	half   [2]framing.Reader
}

var format = framing.Format{Keep: 2 + maxPayload, Length: func(b []byte, lost bool) int {
	switch {
	case lost: // nothing says where a packet begins
		return -1
	case len(b) < 2:
		return 0
	}
	return 2 + int(binary.BigEndian.Uint16(b))
}}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	r := &s.half[c.Side&1]
	r.Feed(b)
	for {
		m, ok := r.Next(c, &format)
		if !ok {
			break
		}
		if 2+int(binary.BigEndian.Uint16(m)) > len(m) || !s.tunnel.packet(c, m[2:]) {
			c.Sink.Done()
			return
		}
	}
	if r.Lost() {
		c.Sink.Done()
	}
}

// Gap ends it: lengths alone do not say where to go on.
func (s *stream) Gap(c *dissector.Context, _ int64) { c.Sink.Done() }

// End has nothing to say.
func (s *stream) End(*dissector.Context) {}

// Size is about what is kept.
func (s *stream) Size() int { return s.tunnel.Size() + s.half[0].Size() + s.half[1].Size() }
