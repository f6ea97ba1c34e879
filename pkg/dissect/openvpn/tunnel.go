package openvpn

import (
	"bytes"
	"slices"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
)

// The bounds of one tunnel.
const (
	window     = 12      // packets of a side that may overtake another one (ssl.h: TLS_RELIABLE_N_REC_BUFFERS)
	maxPayload = 4 << 10 // of a packet; they are made to fit a path's MTU
	maxPackets = 256     // that are looked at
)

// tunnel is what is kept until both hellos and the certificate were seen.
type tunnel struct {
	hmac    int
	side    [2]end
	tls     dissector.Stream // nil while no reset could be read
	packets int
}

// end is one side.
type end struct {
	session [session]byte
	known   bool
	next    uint32 // number of the next packet that carries TLS
	waiting []piece
}

// piece is the payload of a packet that came too early.
type piece struct {
	number uint32
	data   []byte
}

// Size is about what is kept.
func (t *tunnel) Size() int {
	n := 256
	if t.tls != nil {
		n += t.tls.Size()
	}
	for i := range t.side {
		for _, p := range t.side[i].waiting {
			n += 32 + cap(p.data)
		}
	}
	return n
}

// End drops what is incomplete.
func (t *tunnel) End(*dissector.Context) {}

// packet takes the next packet of a tunnel that is known; false for one that is none.
func (t *tunnel) packet(c *dissector.Context, b []byte) bool {
	if t.packets++; t.packets > maxPackets {
		c.Sink.Done()
		return true
	}
	if len(b) == 0 {
		return true
	}
	switch b[0] >> 3 {
	case resetClientV1, resetClientV2, resetClientV3, resetServerV1, resetServerV2:
		return t.reset(c, b)
	case control:
		return t.control(c, b)
	case softReset, acknowledge:
		return true
	case dataV1, dataV2, controlWKC: // the keys are agreed on, or all is wrapped
		c.Sink.Done()
		return true
	}
	return false
}

// reset begins a side anew.
func (t *tunnel) reset(c *dissector.Context, b []byte) bool {
	p, hmac, ok := reset(b)
	if !ok {
		if t.tls == nil { // tls-crypt, for all we know
			c.Sink.Done()
		}
		return t.tls == nil
	}
	e, other := &t.side[c.Side&1], &t.side[1-c.Side&1]
	if p.acks > 0 && other.known && !bytes.Equal(p.other, other.session[:]) {
		return false
	}
	if e.known && bytes.Equal(e.session[:], p.session) {
		return true // again
	}
	if e.known || t.tls == nil { // a client that has begun anew
		*t = tunnel{packets: t.packets, tls: tls.Upgraded()}
	}
	t.hmac = hmac
	e.begin(p.session)
	return true
}

func (e *end) begin(number []byte) {
	*e = end{known: true, next: 1} // 0 is the reset's
	copy(e.session[:], number)
}

// control takes what a packet has of the TLS connection under the first key; a later
// key's is between the same two.
func (t *tunnel) control(c *dissector.Context, b []byte) bool {
	if t.tls == nil {
		return true
	}
	p, ok := read(b, t.hmac)
	e, other := &t.side[c.Side&1], &t.side[1-c.Side&1]
	switch {
	case !ok, p.acks > 0 && other.known && !bytes.Equal(p.other, other.session[:]), e.known && !bytes.Equal(p.session, e.session[:]):
		return false
	case p.key != 0:
		c.Sink.Done()
		return true
	case !e.known: // its reset was not seen
		e.begin(p.session)
	}
	switch ahead := p.number - e.next; {
	case ahead == 0:
		t.data(c, p.payload)
		e.next++
		t.waited(c, e)
	case ahead < window && len(p.payload) <= maxPayload:
		e.keep(p.number, p.payload)
	case ahead < 1<<31: // what lies between is lost to us
		e.next, e.waiting = p.number+1, nil
		t.tls.Gap(c, -1)
		t.data(c, p.payload)
	}
	return true
}

func (t *tunnel) data(c *dissector.Context, b []byte) {
	if len(b) > 0 {
		t.tls.Data(c, b)
	}
}

func (e *end) keep(number uint32, payload []byte) {
	for _, p := range e.waiting {
		if p.number == number {
			return
		}
	}
	e.waiting = append(e.waiting, piece{number, bytes.Clone(payload)})
}

// waited goes on with the packets that came too early.
func (t *tunnel) waited(c *dissector.Context, e *end) {
	for {
		i := slices.IndexFunc(e.waiting, func(p piece) bool { return p.number == e.next })
		if i < 0 {
			break
		}
		t.data(c, e.waiting[i].data)
		e.waiting = slices.Delete(e.waiting, i, i+1)
		e.next++
	}
	if len(e.waiting) == 0 {
		e.waiting = nil
	}
}
