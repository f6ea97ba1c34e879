package dissect

import (
	"maps"
	"net/netip"
	"sync"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/reassembly"
	"github.com/wardflow/wardflow/proto"
)

// What a fact is made of; see package dissector.
type (
	Side    = dissector.Side
	Subject = dissector.Subject
	Fact    = dissector.Fact
)

// The sides of a flow; see package dissector.
const (
	Src   = dissector.Src
	Dst   = dissector.Dst
	Other = dissector.Other
)

// Flow is what the engine keeps of a flow, in the flow table's entry. The zero
// Flow is a new one.
type Flow struct {
	Protocol string   // as in outputs.md; "" while unknown
	By       string   // proto.ByContent or proto.ByPort, "" while unknown
	Inner    []string // what rides on it, sorted

	proto *dissector.Protocol
	conn  *conn
	isn   [2]uint32
	syn   [2]bool
	tries uint8
	trial bool // proto is not sure yet
	done  bool // nothing more to learn
}

// Packet is one packet of a flow, in capture order.
type Packet struct {
	Headers *packet.Headers
	Flow    *Flow // nil for a frame without IP
	FromSrc bool  // sent by the side that opened the flow
	Syn     bool  // the flow's handshake was seen
}

// Config is the engine's. Emit gets each fact with the packet that completed it
// (at the end of a flow: headers of its last packet, without payload), and must
// keep neither.
type Config struct {
	Site        string
	Key         []byte                             // of the HMACs; not empty, or nobody could be told apart
	MemoryLimit int64                              // bytes of all streams together, default 128 MiB
	Inside      func(netip.Addr) bool              // is the address a device's of the site; default: private ranges
	Emit        func(*Packet, *Fact)               // never nil
	OnPanic     func(protocol string, site string) // where a dissector panicked (file:line); may be nil
}

// Engine dissects the packets of one sensor. All but Counters is for one
// goroutine.
type Engine struct {
	*plan
	cfg      Config
	pool     *reassembly.Pool
	both     []*dissector.Protocol // room for the order of a flow between two known ports
	expected expectations
	ctx      dissector.Context
	packet   *Packet // in hand
	speaking string  // the protocol that has the word
	facts    []Fact  // of the packet in hand
	recent   list    // connections by last use
	spare    []*conn // for the next connections
	used     int64

	mu       sync.Mutex
	counters map[string]uint64
	pooled   reassembly.Counters // the pool's as of the last packet that changed them
}

// New makes an engine with all protocols of the list.
func New(cfg Config) *Engine { return planned(cfg, allPlanned()) }

// plan is what an engine looks up of a list of protocols. It does not change, so all
// engines share that of the list that there is.
type plan struct {
	frames    map[uint16][]*dissector.Protocol
	messages  map[proto.Transport]*dissector.Protocol
	datagrams candidates
	streams   candidates
	names     portNames
	all       []*dissector.Protocol
	numbers   map[*dissector.Protocol]Light // in all
}

var allPlanned = sync.OnceValue(func() *plan { return newPlan(protocols) })

func newPlan(list []*dissector.Protocol) *plan {
	x := &plan{
		frames: map[uint16][]*dissector.Protocol{}, messages: map[proto.Transport]*dissector.Protocol{}, names: namesOf(list),
		all: list[:min(len(list), lightProtocols)], numbers: map[*dissector.Protocol]Light{},
	}
	for i, p := range x.all {
		x.numbers[p] = Light(i)
	}
	var datagrams, streams []*dissector.Protocol
	for _, p := range list {
		if p.Frame != nil {
			x.frames[p.EtherType] = append(x.frames[p.EtherType], p)
		}
		if p.Message != nil {
			x.messages[p.Transport] = p
		}
		if p.Datagram != nil {
			datagrams = append(datagrams, p)
		}
		if p.NewStream != nil {
			streams = append(streams, p)
		}
	}
	x.datagrams, x.streams = newCandidates(datagrams), newCandidates(streams)
	return x
}

func newEngine(cfg Config, list []*dissector.Protocol) *Engine { return planned(cfg, newPlan(list)) }

func planned(cfg Config, x *plan) *Engine {
	if cfg.MemoryLimit <= 0 {
		cfg.MemoryLimit = 128 << 20
	}
	if cfg.Inside == nil {
		cfg.Inside = private
	}
	e := &Engine{
		cfg:      cfg,
		plan:     x,
		pool:     reassembly.NewPool(reassembly.Limits{TotalBytes: cfg.MemoryLimit / 2}),
		counters: map[string]uint64{},
	}
	e.ctx = dissector.Context{Key: cfg.Key, Inside: cfg.Inside, Sink: (*sink)(e)}
	return e
}

// private is the default of Config.Inside: the default --home of outputs.md.
func private(a netip.Addr) bool {
	if a.IsPrivate() || a.IsLinkLocalUnicast() {
		return true
	}
	return a.Is4() && a.As4()[0] == 100 && a.As4()[1]&0xc0 == 64 // 100.64/10, RFC 6598
}

// Packet takes the next packet, in capture order.
func (e *Engine) Packet(p *Packet) {
	e.packet, e.ctx.Headers = p, p.Headers
	h := p.Headers
	switch {
	case !h.IsIP():
		e.ctx.Side = Src
		for _, proto := range e.frames[h.EtherType] {
			e.frame(proto, h.LinkPayload)
		}
	case p.Flow == nil || p.Flow.done:
		return
	case h.Transport == proto.TCP:
		e.tcp(p)
	case h.Transport == proto.UDP:
		e.udp(p)
	case h.Transport == proto.SCTP:
		e.sctp(p)
	default:
		e.message(p)
	}
	e.flush()
}

// Close ends a flow: what waits is dissected, facts that were held are emitted,
// its memory is given back. It may be called again.
func (e *Engine) Close(f *Flow) {
	c := f.conn
	f.done = true
	if c == nil {
		return
	}
	e.packet = &Packet{Headers: &c.last, Flow: f, FromSrc: c.lastFromSrc}
	e.ctx.Headers = &c.last
	c.asm.Close(c)
	if c.sctp != nil {
		c.sctp.close(c)
	}
	if c.state != nil && !f.trial {
		e.finish(c)
	}
	e.flush()
	e.release(c)
}

// Counters gives the counts since New by reason; it may be called from any
// goroutine. Names are fixed words, never content.
func (e *Engine) Counters() map[string]uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := maps.Clone(e.counters)
	for name, n := range map[string]uint64{
		"tcp_segments":         e.pooled.Segments,
		"tcp_out_of_order":     e.pooled.OutOfOrder,
		"tcp_retransmit_bytes": e.pooled.Retransmitted,
		"tcp_overlap_gone":     e.pooled.Unchecked,
		"tcp_overlap_conflict": e.pooled.Conflicts,
		"tcp_gap":              e.pooled.Gaps,
		"tcp_gap_bytes":        e.pooled.GapBytes,
		"tcp_gap_full":         e.pooled.GapFull,
		"tcp_gap_memory":       e.pooled.GapMemory,
		"tcp_gap_old":          e.pooled.GapOld,
		"tcp_out_of_window":    e.pooled.OutOfWindow,
		"tcp_after_end":        e.pooled.AfterEnd,
		"tcp_midstream":        e.pooled.Midstream,
		"tcp_restart":          e.pooled.Restarts,
	} {
		if n > 0 {
			m[name] = n
		}
	}
	return m
}

// flush hands over the facts of the packet in hand, outside of what contains a
// dissector's panics: one of the receiver's own is not ours to hide.
func (e *Engine) flush() {
	for i := range e.facts {
		e.cfg.Emit(e.packet, &e.facts[i])
		e.facts[i] = Fact{}
	}
	e.facts = e.facts[:0]
}

// udp dissects a datagram, or tries each protocol on it until one knows it.
func (e *Engine) udp(p *Packet) {
	f, b := p.Flow, p.Headers.Payload
	if len(b) == 0 {
		return
	}
	e.ctx.Side = sender(p)
	if f.tries == 0 && f.proto == nil {
		e.foresee(p)
	}
	if f.proto != nil && e.known(p, b) {
		return
	}
	known, maybe := e.ask(e.datagrams.of(p.Headers, &e.both), b)
	if known != nil {
		f.proto = known
		f.recognised(known.Name)
		e.keep(p)
		return
	}
	if f.tries++; f.tries >= maxTries {
		f.done = true
	} else if maybe.proto != nil {
		f.proto, f.trial, e.ctx.State = maybe.proto, true, maybe.state
		e.keep(p)
	}
	e.guess(p)
}

// known gives a datagram to the protocol that has the flow, or has it on trial. It
// reports false where that is not the flow's protocol after all.
func (e *Engine) known(p *Packet, b []byte) bool {
	f := p.Flow
	switch v := e.datagram(f.proto, b, !f.trial); {
	case v == dissector.Yes && f.trial:
		f.trial = false
		f.recognised(f.proto.Name)
		fallthrough
	case v == dissector.Yes:
		e.keep(p)
		return true
	case v == dissector.More && f.trial && f.tries < maxTries:
		f.tries++
		e.keep(p)
		return true
	case !f.trial && f.By != proto.ByContext:
		(*sink)(e).Count(f.proto.Name + "_malformed")
		return true
	}
	f.proto, f.trial = nil, false // announced or on trial, and something else
	if f.conn != nil {
		e.release(f.conn)
	}
	return false
}

// message dissects a packet of a transport that is a protocol of its own.
func (e *Engine) message(p *Packet) {
	h := p.Headers
	proto := e.messages[h.Transport]
	if proto == nil || len(h.Header) == 0 {
		return
	}
	e.ctx.Side = sender(p)
	// The two are one array, cut behind the header.
	if e.transport(proto, h.Header[:len(h.Header)+len(h.Payload)]) == dissector.Yes {
		p.Flow.recognised(proto.Name)
	}
}

func sender(p *Packet) Side {
	if p.FromSrc {
		return Src
	}
	return Dst
}

func (f *Flow) recognised(name string) { f.Protocol, f.By = name, proto.ByContent }

// sink is the engine as dissectors see it.
type sink Engine

func (s *sink) Emit(f *Fact) {
	if f.Protocol == "" {
		f.Protocol = s.speaking
	}
	s.facts = append(s.facts, *f)
}

func (s *sink) Count(name string) {
	s.mu.Lock()
	s.counters[name]++
	s.mu.Unlock()
}

// Done ends the dissection once the call in hand is over.
func (s *sink) Done() {
	f := s.packet.Flow
	if f == nil {
		return
	}
	f.done = true
	if f.conn != nil {
		f.conn.over = true
	}
}

func (s *sink) Inner(name string) {
	if s.packet.Flow == nil {
		return
	}
	in := &s.packet.Flow.Inner
	for i, n := range *in {
		if n == name {
			return
		}
		if n > name {
			*in = append((*in)[:i], append([]string{name}, (*in)[i:]...)...)
			return
		}
	}
	*in = append(*in, name)
}
