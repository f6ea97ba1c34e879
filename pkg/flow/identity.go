package flow

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// seedPayload is how much of the first payload tells flows of the same ends
// apart. It is short, so that sensors with different snaplens agree.
const seedPayload = 96

// flowID derives a flow's id from the site, its Community ID, and what opened
// it: the initial sequence number of the TCP SYN, else the first packet's own
// mark (TCP sequence number, ICMP identifier) and payload. Clocks have no part in
// it, so two sensors agree. It equals proto.HashID("flow", site, community, seed)
// and, for a generation above 0, with that as one more part.
func flowID(site string, k *key, seed []byte, generation uint32) proto.ID {
	var room [512]byte
	b := appendPart(room[:0], []byte("flow"))
	b = binary.BigEndian.AppendUint32(b, uint32(len(site)))
	b = append(b, site...)
	community := k.community()
	b = appendPart(b, community[:])
	b = appendPart(b, seed)
	if generation > 0 {
		b = binary.BigEndian.AppendUint32(b, 4)
		b = binary.BigEndian.AppendUint32(b, generation)
	}
	sum := sha256.Sum256(b)
	return proto.ID(sum[:16])
}

func appendPart(b, part []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
}

// appendSeed appends what the first packet says of which flow of its ends this is.
// A SYN-ACK acknowledges the number of a SYN that was not seen.
func appendSeed(b []byte, h *packet.Headers) []byte {
	if h.Transport == proto.TCP {
		switch h.TCPFlags & (packet.SYN | packet.ACK) {
		case packet.SYN:
			return binary.BigEndian.AppendUint32(b, h.Seq)
		case packet.SYN | packet.ACK:
			return binary.BigEndian.AppendUint32(b, h.Ack-1)
		}
		b = binary.BigEndian.AppendUint32(append(b, 'm'), h.Seq)
	}
	if (h.Transport == proto.ICMP || h.Transport == proto.ICMP6) && len(h.Header) > 4 {
		b = append(b, h.Header[4:]...)
	}
	return append(b, h.Payload[:min(len(h.Payload), seedPayload)]...)
}

// generations counts the flows that had the same opening, so that a later one
// that looks the same (a beacon from a fixed port, a neighbour solicitation) gets
// an id of its own: its generation. Two sensors that see the same flows count the
// same. It is bounded: the least recently repeated half is forgotten. Flows
// between fixed ports, the ones that do repeat, are not pushed out by the many
// whose ephemeral ports hardly ever come again.
type generations struct {
	fixed, ephemeral recent
}

// next gives the generation of a flow whose id would be id: 0 for the first.
func (g *generations) next(id proto.ID, k *key) uint32 {
	low, high := binary.BigEndian.Uint16(k[keyPorts:]), binary.BigEndian.Uint16(k[keyPorts+2:])
	const ephemeral = 32768 // the lowest such port of Linux; IANA's is higher
	if low != high && max(low, high) >= ephemeral {
		return g.ephemeral.next(id)
	}
	return g.fixed.next(id)
}

// recentMax bounds each half of a recent.
const recentMax = 1 << 15

// recent is a map that forgets: what was not asked for since the younger half
// began twice is gone.
type recent struct {
	young, old map[uint64]uint32
}

func (r *recent) next(id proto.ID) uint32 {
	k := binary.BigEndian.Uint64(id[:])
	n, ok := r.young[k]
	if !ok {
		n, ok = r.old[k]
	}
	if ok {
		n++
	}
	if r.young == nil {
		r.young, r.old = map[uint64]uint32{}, map[uint64]uint32{}
	}
	if len(r.young) >= recentMax {
		r.young, r.old = r.old, r.young
		clear(r.young)
	}
	r.young[k] = n
	return n
}
