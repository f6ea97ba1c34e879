package capture

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/flow"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// Config is a Processor's. Zero durations and bounds mean the defaults of
// pkg/flow, pkg/packet and pkg/dissect.
type Config struct {
	Site, Sensor  string
	Home          []netip.Prefix // what is inside; default DefaultHome
	Key           []byte         // of the HMACs; default derived from Site
	ActiveTimeout time.Duration
	TCPIdle       time.Duration
	UDPIdle       time.Duration
	OtherIdle     time.Duration
	ClosedIdle    time.Duration
	MaxFlows      int
	MaxMemory     int64 // bytes of the dissectors' streams
	Fragments     packet.FragmentLimits
	FlowsOnly     bool // no dissectors: no observations, and protocols go by the ports

	// Emit gets every item in capture order. What it points to is the receiver's to
	// keep, but a flow and its mirror are one Flow. A heartbeat is for every
	// partition; its Lane means nothing.
	Emit func(proto.Item)
	// Reuse says that the receiver keeps nothing of what it gets: one Flow and one
	// Observation serve for all.
	Reuse bool
	// OnPanic hears of a packet that made us panic, with the place (file:line) and
	// nothing of the packet. It may be nil; the panic is counted anyway.
	OnPanic func(place string)
}

// DefaultHome is what is inside unless said otherwise: RFC 1918, shared address
// space (RFC 6598), link-local (RFC 3927, RFC 4291), unique local (RFC 4193).
func DefaultHome() []netip.Prefix {
	var list []netip.Prefix
	for _, s := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"} {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

// heartbeatEvery is how far event time moves between heartbeats.
const heartbeatEvery = time.Second

// Processor turns the frames of one sensor into items. The same frames give the
// same items, byte for byte. It is for one goroutine.
type Processor struct {
	cfg     Config
	decoder packet.Decoder
	table   *flow.Table
	kept    sessions
	engine  *dissect.Engine
	segment *segment
	stacks  stacks

	headers packet.Headers
	packet  dissect.Packet
	current *flow.Entry // whose packet, or whose end, the dissectors have in hand

	clock, beat proto.Time // event time, and that of the last heartbeat
	begun       bool
	emitting    bool              // the receiver has the word
	told        proto.Observation // where one serves for all
	counts      counts
}

// New makes a Processor.
func New(cfg Config) *Processor { return newProcessor(cfg, nil) }

// newProcessor makes one that shares what it knows of the segment with others;
// nil for one that begins to learn.
func newProcessor(cfg Config, shared *segment) *Processor {
	if len(cfg.Home) == 0 {
		cfg.Home = DefaultHome()
	}
	if len(cfg.Key) == 0 {
		key := sha256.Sum256([]byte("wardflow hmac key of site " + cfg.Site))
		cfg.Key = key[:]
	}
	if shared == nil {
		shared = newSegment(cfg.Site, cfg.Home)
	}
	p := &Processor{cfg: cfg, segment: shared}
	p.decoder.Fragments = cfg.Fragments
	p.table = flow.New(flow.Config{
		Site: cfg.Site, Sensor: cfg.Sensor, ActiveTimeout: cfg.ActiveTimeout, TCPIdle: cfg.TCPIdle, UDPIdle: cfg.UDPIdle,
		OtherIdle: cfg.OtherIdle, ClosedIdle: cfg.ClosedIdle, Max: cfg.MaxFlows, Reuse: cfg.Reuse, Emit: p.part,
	})
	p.engine = dissect.New(dissect.Config{
		Site: cfg.Site, Key: cfg.Key, MemoryLimit: cfg.MaxMemory, Emit: p.fact,
		Inside:  func(ip netip.Addr) bool { return !p.segment.end(p.headers.VLAN, proto.MAC{}, ip).id.IsZero() },
		OnPanic: func(protocol, place string) { p.heardPanic(protocol + " " + place) },
	})
	return p
}

// Packet takes the next frame in capture order, as captured at t; wireLen is its
// length on the wire. Whatever a frame does, it costs only itself.
func (p *Processor) Packet(link packet.LinkType, t proto.Time, frame []byte, wireLen int) {
	defer p.contain()
	p.counts.packet(t, max(wireLen, len(frame)))
	p.current = nil
	p.Advance(t)
	p.current = nil // flows have ended, each of which was in hand
	h := &p.headers
	if p.decoder.Decode(link, t, frame, wireLen, h) != packet.OK {
		return
	}
	if !h.IsIP() {
		if p.cfg.FlowsOnly {
			return
		}
		p.packet = dissect.Packet{Headers: h, FromSrc: true}
		p.engine.Packet(&p.packet)
		return
	}
	e, fromSrc := p.table.Add(h)
	if e.Fresh() && !h.CarrierMAC {
		p.segment.learn(h.VLAN, h.SrcMAC, h.SrcIP, sighting{at: p.clock, routed: routed(h.TTL)})
	}
	if muted(e) || p.cfg.FlowsOnly {
		return
	}
	if h.TCPFlags&packet.SYN != 0 && h.Transport == proto.TCP && !h.CarrierMAC {
		p.stack(e, h, fromSrc)
	}
	s := p.kept.of(e)
	if s == nil {
		if dissect.Light(e.Light).Done() || !carries(e, h, fromSrc) {
			return
		}
		s = p.open(e)
	}
	p.current = e
	p.packet = dissect.Packet{Headers: h, Flow: &s.Flow, FromSrc: fromSrc, Syn: e.Handshake()}
	p.engine.Packet(&p.packet)
	p.settle(e, s)
}

// Advance moves event time to t, when it is later: parts and flows that end by
// then are emitted, then, at most once a second, a heartbeat. Packet does it by
// itself; a live sensor on a silent wire calls it with its own clock.
func (p *Processor) Advance(t proto.Time) {
	if p.begun && t <= p.clock {
		return
	}
	p.clock = t
	p.table.Advance(t)
	if !p.begun || t.Sub(p.beat) >= heartbeatEvery {
		p.begun, p.beat = true, t
		p.heartbeat(false)
	}
}

// End ends the capture: open flows end at their last packet, and a last heartbeat
// says that no more comes. Without any packet there is nothing to end.
func (p *Processor) End() {
	if !p.begun {
		return
	}
	p.decoder.Flush()
	p.table.Flush()
	p.heartbeat(true)
}

// heartbeat says how far the packets have come: every packet before Clock has
// been seen, and what followed from it sent, but for the parts of flows that go
// on, which are sent when they end. Such a part may have started an active
// timeout before Clock, and ended an idle timeout before it.
func (p *Processor) heartbeat(end bool) {
	p.emit(proto.Item{Heartbeat: &proto.Heartbeat{Clock: p.clock, End: end}})
}

func (p *Processor) emit(it proto.Item) {
	p.emitting = true
	p.cfg.Emit(it)
	p.emitting = false
}

// contain keeps a panic to the packet that caused it. The value is never looked
// at: it may quote the packet. The receiver's own panics are not ours to hide.
func (p *Processor) contain() {
	if p.emitting {
		return // goes on, if it is a panic at all
	}
	if recover() == nil {
		return
	}
	p.counts.panics++
	if p.current != nil { // whose dissectors may be in any state now: it is counted and no more
		p.current.Light |= uint16(dissect.LightMark)
	}
	p.heardPanic(panicPlace())
}

func (p *Processor) heardPanic(place string) {
	if p.cfg.OnPanic != nil {
		p.cfg.OnPanic(place)
	}
}

// panicPlace is file:line of the code that panicked: the first frame that is
// neither the runtime's nor the containment's.
func panicPlace() string {
	var pc [32]uintptr
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc[:])])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") && !strings.HasSuffix(f.Function, ".contain") {
			return fmt.Sprintf("%s:%d", path.Base(f.File), f.Line)
		}
		if !more {
			return "unknown"
		}
	}
}

// part sends a part of a flow, with what the table does not know: what it carries
// and between whom. At the end of the flow the dissectors say first what they
// still hold.
func (p *Processor) part(e *flow.Entry, f *proto.Flow) {
	s := p.kept.of(e)
	if s != nil {
		if f.Final {
			p.close(e, s)
		}
		f.Protocol, f.ProtocolBy = s.Protocol, s.By
		f.ProtocolInner = slices.Clone(s.Inner)
	} else if name := p.engine.Protocol(dissect.Light(e.Light)); name != "" {
		f.Protocol, f.ProtocolBy = name, proto.ByContent
	}
	if f.Protocol == "" {
		f.Protocol, f.ProtocolBy = p.label(e)
	}
	ends := p.kept.endsOf(e)
	if ends == nil {
		ends = &[2]end{
			p.segment.end(e.VLAN(), e.SrcMAC(), e.SrcIP()),
			p.segment.end(e.VLAN(), e.DstMAC(), e.DstIP()),
		}
		if !f.Final {
			p.kept.keepEnds(e, *ends)
		}
	}
	f.SrcEndpoint, f.SrcInside = ends[0].id, ends[0].inside
	f.DstEndpoint, f.DstInside = ends[1].id, ends[1].inside
	if t := e.Transport(); t == proto.TCP || t == proto.UDP { // an outer header's hop limit may be the inner one's
		if p.segment.translates(e.VLAN(), e.SrcMAC(), e.SrcIP(), e.SrcTTL()) {
			f.Path = append(f.Path, proto.PathSrcNAT)
		}
		if p.segment.translates(e.VLAN(), e.DstMAC(), e.DstIP(), e.DstTTL()) {
			f.Path = append(f.Path, proto.PathDstNAT)
		}
	}
	if f.Final {
		p.kept.release(e)
	}
	p.send(f)
}

// close lets the dissectors end a flow. A panic there costs what they held.
func (p *Processor) close(e *flow.Entry, s *session) {
	if muted(e) {
		return
	}
	defer p.contain()
	p.current = e
	p.engine.Close(&s.Flow)
}

// send puts a flow on the client's lane, and once more, as a mirror, on the
// server's where that is another endpoint. A flow from outside goes to the inside
// end's lane; one between strangers goes by its id.
func (p *Processor) send(f *proto.Flow) {
	it := proto.Item{Flow: f}
	switch {
	case !f.SrcEndpoint.IsZero():
		it.Lane = f.SrcEndpoint.Lane()
	case !f.DstEndpoint.IsZero():
		it.Lane = f.DstEndpoint.Lane()
	default:
		it.Lane = f.FlowID.Lane()
	}
	p.emit(it)
	if !f.SrcEndpoint.IsZero() && !f.DstEndpoint.IsZero() && f.SrcEndpoint != f.DstEndpoint {
		p.emit(proto.Item{Lane: f.DstEndpoint.Lane(), Mirror: true, Flow: f})
	}
}
