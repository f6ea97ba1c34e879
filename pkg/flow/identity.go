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
	var room [256]byte
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
	fixed, ephemeral recent[uint64, uint32]
}

// next gives the generation of a flow whose id would be id: 0 for the first.
func (g *generations) next(id proto.ID, k *key) uint32 {
	low, high := binary.BigEndian.Uint16(k[keyPorts:]), binary.BigEndian.Uint16(k[keyPorts+2:])
	const ephemeral = 32768 // the lowest such port of Linux; IANA's is higher
	seen := &g.fixed
	if low != high && max(low, high) >= ephemeral {
		seen = &g.ephemeral
	}
	short := binary.BigEndian.Uint64(id[:])
	n, again := seen.get(short)
	if again {
		n++
	}
	seen.put(short, n)
	return n
}

// recentMax bounds each half of a recent.
const recentMax = 1 << 15

// recent is a map that forgets: what has not been put again since the younger
// half began twice is gone.
type recent[K comparable, V any] struct {
	young, old map[K]V
}

func (r *recent[K, V]) get(k K) (V, bool) {
	v, ok := r.young[k]
	if !ok {
		v, ok = r.old[k]
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	if r.young == nil {
		r.young, r.old = map[K]V{}, map[K]V{}
	}
	if len(r.young) >= recentMax {
		r.young, r.old = r.old, r.young
		clear(r.young)
	}
	r.young[k] = v
}

// sleepers are TCP connections that went silent without an end. When one speaks
// again it is a new flow, but who had opened it is not forgotten: clinical links
// stay open for days with minutes between messages, and often it is the server
// that speaks first.
type sleepers struct {
	recent[key, bool] // was it the low end
}

// ended notes how a flow has ended: silent, or for good.
func (s *sleepers) ended(e *Entry) {
	switch {
	case e.flags&knownSrc == 0:
	case over(e.ends), e.ends == [2]tcpState{synSent, inactive}:
		delete(s.young, e.key)
		delete(s.old, e.key)
	default:
		s.put(e.key, e.flags&srcIsLow != 0)
	}
}

func (s *sleepers) wake(k *key) (low, known bool) { return s.get(*k) }
