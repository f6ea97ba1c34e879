package capture

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wardflow/wardflow/pkg/packet/filter"
	"github.com/wardflow/wardflow/pkg/packet/ring"
	"github.com/wardflow/wardflow/proto"
)

// wire is what is counted of an interface, whatever becomes of its rings.
type wire struct {
	name           string
	packets, bytes atomic.Uint64 // read
	drops, broken  atomic.Uint64 // the kernel's, and blocks that made no sense
	up             atomic.Bool
	lost           seldom
	told           atomic.Uint64 // drops that were logged
}

func (l *Live) wire(name string) *wire {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.wires[name]
	if w == nil {
		w = &wire{name: name}
		l.wires[name] = w
	}
	return w
}

// port is an interface with a ring for each worker. All rings are opened together
// and, when one fails, all are closed before they are opened again: the kernel
// shares packets among those that are open.
type port struct {
	gen    *generation
	name   string
	wire   *wire
	offers []chan offer // to each worker
	held   atomic.Int32 // rings that workers have
	stale  atomic.Bool  // the workers are to give them back

	// Below: the goroutine that opened, then watch's.
	index   int
	pause   time.Duration
	retryAt time.Time

	mu    sync.Mutex // guards rings and seen
	rings []source
	seen  []ring.Stats // that are in wire
}

// offer is a ring for a worker, of which it takes what was received from a time on.
type offer struct {
	source
	from proto.Time
}

// The pauses between attempts to open an interface; they double.
const (
	reopenFirst = 500 * time.Millisecond
	reopenMost  = 10 * time.Second
)

func newPort(g *generation, name string, w *wire) *port {
	p := &port{gen: g, name: name, wire: w, pause: reopenFirst}
	for range g.cfg.Workers {
		p.offers = append(p.offers, make(chan offer, 1))
	}
	return p
}

// openRings opens the rings of an interface and gives its index.
func openRings(cfg *LiveConfig, name string) (int, []source, error) {
	link, err := cfg.link(name)
	if err != nil {
		return 0, nil, fmt.Errorf("interface %s: %w", name, err)
	}
	program, err := filter.Compile(cfg.Filter, filter.Config{Link: link, Stripped: true})
	if err != nil {
		return 0, nil, fmt.Errorf("interface %s: %w", name, err)
	}
	index, err := cfg.index(name)
	if err != nil {
		return 0, nil, fmt.Errorf("interface %s: %w", name, err)
	}
	each := cfg.RingBytes / int64(cfg.Workers)
	block := 128 << 10
	for int64(block)*256 < each && block < 1<<20 {
		block *= 2
	}
	rc := ring.Config{
		Interface: name, BlockBytes: block, Blocks: max(int(each/int64(block)), 8), BlockTimeout: blockTimeout,
		Promiscuous: cfg.Promiscuous, Outgoing: cfg.Outgoing, Filter: program,
	}
	var rings []source
	for i := range cfg.Workers {
		rc.Fanout, rc.FanoutWith = cfg.Workers > 1 && i == 0, nil
		if i > 0 {
			rc.FanoutWith, _ = rings[0].(*ring.Ring)
		}
		r, err := cfg.open(rc)
		if err != nil {
			return 0, nil, errors.Join(err, closeAll(rings))
		}
		rings = append(rings, r)
	}
	return index, rings, nil
}

func closeAll(rings []source) error {
	var errs []error
	for _, r := range rings {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// open opens the interface and offers its rings to the workers.
func (p *port) open() error {
	index, rings, err := openRings(&p.gen.cfg, p.name)
	if err != nil {
		p.retryAt = p.gen.live.now().Add(p.pause)
		p.pause = min(2*p.pause, reopenMost)
		return err
	}
	p.count()
	p.mu.Lock()
	p.rings, p.seen = rings, make([]ring.Stats, len(rings))
	p.mu.Unlock()
	p.index, p.pause = index, reopenFirst
	p.stale.Store(false)
	p.held.Store(int32(len(rings)))
	p.wire.up.Store(true)
	// What the first ring received before the others had joined is not all its own.
	from := proto.TimeOf(p.gen.live.now())
	for i, r := range rings {
		p.offers[i] <- offer{r, from}
	}
	return nil
}

// closeOffered closes the rings that no worker has taken.
func (p *port) closeOffered() {
	for _, c := range p.offers {
		select {
		case o := <-c:
			p.release(o.source)
		default:
		}
	}
}

// release closes a ring.
func (p *port) release(s source) {
	if err := s.Close(); err != nil {
		p.gen.live.log.Warn("an interface's ring was not closed well", "interface", p.name, "error", err)
	}
	p.held.Add(-1)
}

// failed is told by a worker whose ring has failed.
func (p *port) failed(err error) {
	if p.stale.CompareAndSwap(false, true) {
		p.wire.up.Store(false)
		p.gen.live.log.Warn("an interface is away; it is opened again when it is back", "interface", p.name, "error", err)
	}
}

// look is called now and then: it opens the interface where it is closed, sees
// that its name still means the same one, and reads the counters.
func (p *port) look() {
	p.count()
	if p.held.Load() > 0 {
		if i, err := p.gen.cfg.index(p.name); err != nil {
			p.failed(fmt.Errorf("there is no interface %s any more: %w", p.name, err))
		} else if i != p.index {
			p.failed(fmt.Errorf("%s is another interface now", p.name))
		}
		return
	}
	p.wire.up.Store(false)
	if p.gen.live.now().Before(p.retryAt) {
		return
	}
	if err := p.open(); err != nil {
		p.gen.live.log.Debug("an interface cannot be opened", "error", err)
		return
	}
	p.gen.live.log.Info("an interface is captured again", "interface", p.name)
}

// count adds what the kernel has counted, and says so loudly where it had no room.
func (p *port) count() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range p.rings {
		s, err := r.Stats()
		if err != nil {
			continue // of a ring that fails: its reader hears of it
		}
		p.wire.drops.Add(s.Drops - p.seen[i].Drops)
		p.wire.broken.Add(s.Malformed - p.seen[i].Malformed)
		p.seen[i] = s
	}
	drops := p.wire.drops.Load()
	if lost := drops - p.wire.told.Load(); lost > 0 && p.wire.lost.may(p.gen.live.now()) {
		p.wire.told.Store(drops)
		p.gen.live.log.Error("packets are lost: the kernel had no room for them, because they come faster than they are read",
			"interface", p.name, "lost", lost, "lost_so_far", drops,
			"what_to_do", "more capture.workers, larger capture.ring_bytes, a capture.filter, or a faster machine")
	}
}
