package capture

import (
	"strconv"
	"time"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/flow"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// stacks remembers what was told of endpoints' TCP stacks, so that it is told once
// an hour and not with each connection. One that falls on another's place takes it.
type stacks struct {
	places [1 << memoBits]stackEntry
}

type stackEntry struct {
	who    proto.ID
	server bool
	what   stack
	until  proto.Time
}

// stack is how a system opens or takes connections: its initial hop limit, and the
// kinds of its options in their order, which its source fixes.
type stack struct {
	ttl    uint8
	n      uint8
	layout [maxLayout]byte
}

// maxLayout bounds the options that are told: 40 bytes hold 40 fillers.
const maxLayout = 16

const stacksEvery = proto.Time(time.Hour)

// letters stand for the options of RFC 9293 3.2, RFC 7323, RFC 2018 and RFC 7413.
var letters = [...]byte{0: 'E', 1: 'N', 2: 'M', 3: 'W', 4: 'S', 8: 'T', 34: 'F'}

// readStack reads the options of a SYN:
//
//	kind 8 | length 8 (of both and what follows) | ...; kinds 0 and 1 are one byte
func readStack(h *packet.Headers) (s stack, ok bool) {
	if len(h.Header) < 20 {
		return s, false
	}
	s.ttl = initialTTL(h.TTL)
	for b := h.Header[20:]; len(b) > 0; {
		if int(s.n) == maxLayout {
			return s, false
		}
		letter := byte('?')
		if kind := int(b[0]); kind < len(letters) && letters[kind] != 0 {
			letter = letters[kind]
		}
		s.layout[s.n], s.n = letter, s.n+1
		switch {
		case b[0] <= 1:
			b = b[1:]
		case len(b) < 2 || b[1] < 2 || int(b[1]) > len(b):
			return s, false
		default:
			b = b[b[1]:]
		}
	}
	return s, true
}

// initialTTL is what a hop limit began as: systems begin with few values, and ways
// are shorter than the steps between them.
func initialTTL(ttl uint8) uint8 {
	for _, first := range [...]uint8{32, 64, 128} {
		if ttl <= first {
			return first
		}
	}
	return 255
}

func (s *stack) String() string {
	if s.n == 0 {
		return strconv.Itoa(int(s.ttl)) + " -"
	}
	return strconv.Itoa(int(s.ttl)) + " " + string(s.layout[:s.n])
}

// stack tells how an inside endpoint opens connections, or takes them: a SYN-ACK
// has no more options than the SYN that it answers.
func (p *Processor) stack(e *flow.Entry, h *packet.Headers, fromSrc bool) {
	s, ok := readStack(h)
	if !ok {
		return
	}
	p.current = e
	p.packet = dissect.Packet{Headers: h, FromSrc: fromSrc}
	side, server := dissect.Src, h.TCPFlags&packet.ACK != 0
	if !fromSrc {
		side = dissect.Dst
	}
	who := p.side(&p.packet, side)
	if who.id.IsZero() {
		return
	}
	key := uint64(who.id[0]) | uint64(who.id[1])<<8 | uint64(who.id[2])<<16 | uint64(who.id[3])<<24
	if server {
		key ^= 1 << 40
	}
	place := &p.stacks.places[spread(key)]
	if place.who == who.id && place.server == server && place.what == s && h.Time < place.until {
		return
	}
	*place = stackEntry{who: who.id, server: server, what: s, until: h.Time + stacksEvery}
	f := dissect.Fact{Protocol: "tcp", Kind: "syn", Subject: dissect.Subject{Side: side}}
	if server {
		f.Kind = "syn_ack"
		f.Attributes.Set("role", "server")
		f.Attributes.Set("stack_server", s.String())
	} else {
		f.Attributes.Set("role", "client")
		f.Attributes.Set("stack", s.String())
	}
	p.fact(&p.packet, &f)
}
