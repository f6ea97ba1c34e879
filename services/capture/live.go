package capture

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/packet/filter"
	"github.com/wardflow/wardflow/pkg/packet/ring"
	"github.com/wardflow/wardflow/proto"
)

// LiveConfig says what a live sensor captures. Zero bounds mean the defaults.
type LiveConfig struct {
	Interfaces  []string // names, as in `ip link`
	Workers     int      // share the packets of every interface by flow; 0: half of the processors, at most 8
	Filter      string   // of pkg/packet/filter; "" takes everything
	Promiscuous bool     // also frames for other stations, which a mirror port delivers
	Outgoing    bool     // also what this host sends
	RingBytes   int64    // memory between kernel and us, of each interface; default 64 MiB
	Processor   Config   // its bounds are those of all workers together
	Log         *slog.Logger

	// What a test puts in place of the kernel and its clock.
	open  func(ring.Config) (source, error)
	link  func(name string) (packet.LinkType, error)
	index func(name string) (int, error)
	now   func() time.Time
}

// source is what a worker needs of a ring.
type source interface {
	TryNext(p *ring.Packet) bool
	Check() error
	Stats() (ring.Stats, error)
	Close() error
}

// The rings. A ring is filled block by block: a block leaves the kernel when it is
// full, or when the timer finds it open for the second time.
const (
	defaultRing  = 64 << 20
	leastRing    = 1 << 20
	blockTimeout = 20 * time.Millisecond
	// ringDelay is how long after its time a packet is in our hands at the latest.
	ringDelay = 2*blockTimeout + 10*time.Millisecond
	mostWork  = 64 // workers
)

// Validate reports every problem at once.
func (c *LiveConfig) Validate() error {
	var errs []error
	if len(c.Interfaces) == 0 {
		errs = append(errs, errors.New("interfaces: is empty: name the interface that the mirror port or tap is connected to, as `ip link` shows it"))
	}
	for i, name := range c.Interfaces {
		if slices.Index(c.Interfaces, name) != i {
			errs = append(errs, fmt.Errorf("interfaces: %s is named twice", name))
		}
	}
	if c.Workers < 0 || c.Workers > mostWork {
		errs = append(errs, fmt.Errorf("workers: is %d; want 1 to %d, or 0 for as many as suit the processors", c.Workers, mostWork))
	}
	if c.RingBytes != 0 && c.RingBytes < leastRing {
		errs = append(errs, fmt.Errorf("ring_bytes: is %d; want at least %d", c.RingBytes, leastRing))
	}
	if _, err := filter.Compile(c.Filter, filter.Config{Link: packet.LinkEthernet}); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c *LiveConfig) setDefaults() {
	if c.Workers == 0 {
		c.Workers = min(max(runtime.GOMAXPROCS(0)/2, 1), 8)
	}
	c.RingBytes = cmp.Or(c.RingBytes, defaultRing)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if len(c.Processor.Home) == 0 {
		c.Processor.Home = DefaultHome()
	}
	if c.open == nil {
		c.open = func(rc ring.Config) (source, error) {
			r, err := ring.Open(rc)
			if err != nil { // not r, which is a nil inside an interface that is none
				return nil, err
			}
			return r, nil
		}
	}
	if c.link == nil {
		c.link = ring.LinkTypeOf
	}
	if c.index == nil {
		c.index = func(name string) (int, error) {
			i, err := net.InterfaceByName(name)
			if err != nil {
				return 0, err
			}
			return i.Index, nil
		}
	}
	if c.now == nil {
		c.now = time.Now
	}
}

// Live captures from interfaces into wardflow.traffic. Worker i has ring i of every
// interface; the kernel gives all packets of a flow, in both directions and on
// whichever port of a tap, to the rings of one worker. Items go from the workers to
// one Output. When that waits for the broker or the spool the workers stop reading,
// so that the only place where packets are lost is the kernel's ring, which counts.
type Live struct {
	out     *Output
	run     proto.ID
	started proto.Time
	log     *slog.Logger
	now     func() time.Time
	items   chan slice
	pool    sync.Pool
	panics  seldom

	change sync.Mutex // held by who changes the configuration

	mu       sync.Mutex // guards all below
	cfg      LiveConfig
	segment  *segment
	gen      *generation // in charge
	gens     []*generation
	stopping bool
	clocks   map[*worker]proto.Time // of their last heartbeats; 0 before the first
	ended    Summary                // of workers that have ended
	wires    map[string]*wire
	beaten   proto.Time
	version  uint64
	problem  string
	running  sync.WaitGroup // generations
}

// slice is some items of a worker, in order. The last is empty.
type slice struct {
	from  *worker
	items *[]proto.Item
	last  bool
}

// NewLive makes a live sensor; nothing is opened before Run. It takes the site and
// the sensor of the Processor; the name of its run is random.
func NewLive(cfg LiveConfig, w writer, partitions int32) (*Live, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("live capture: %w", err)
	}
	l := &Live{
		log: cfg.Log, now: cfg.now, cfg: cfg, items: make(chan slice, 64), clocks: map[*worker]proto.Time{}, wires: map[string]*wire{},
		started: proto.TimeOf(cfg.now()), segment: newSegment(cfg.Processor.Site, cfg.Processor.Home),
	}
	l.pool.New = func() any { return new([]proto.Item) }
	l.ended.Drops, l.ended.Dissect = map[string]uint64{}, map[string]uint64{}
	if _, err := rand.Read(l.run[:]); err != nil {
		return nil, fmt.Errorf("live capture: name the run: %w", err)
	}
	c := &cfg.Processor
	l.out = NewOutput(w, partitions, Naming{
		Site: c.Site, Sensor: c.Sensor, Domain: proto.LiveDomain,
		Producer: "live:" + c.Site + "/" + c.Sensor + "/" + l.run.String(),
	})
	return l, nil
}

// CheckLive opens the interfaces and closes them again: what is wrong is known
// before anything else is started. One that can be opened is enough.
func CheckLive(cfg LiveConfig) error {
	cfg.setDefaults()
	cfg.Workers, cfg.RingBytes = 1, leastRing
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("live capture: %w", err)
	}
	var errs []error
	for _, name := range cfg.Interfaces {
		_, rings, err := openRings(&cfg, name)
		if err == nil {
			err = closeAll(rings)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) < len(cfg.Interfaces) {
		return nil
	}
	return fmt.Errorf("live capture: %w", errors.Join(errs...))
}

// stopWithin bounds the end: what is read and not yet handed over is lost then.
const stopWithin = 6 * time.Second

// Run captures until ctx ends, then hands over what has been received, open flows
// included. It fails when no interface can be opened at the start, and when the
// output fails.
func (l *Live) Run(ctx context.Context) error {
	gen, err := l.open(l.config(), nil)
	if err != nil {
		return fmt.Errorf("live capture: %w", err)
	}
	l.start(gen, 0)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		<-ctx.Done()
		l.stop()
		l.running.Wait()
		close(done)
	}()
	// The output outlives ctx: at the end it takes what is still on the way.
	out, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopWithin, abandon) })()
	err = l.collect(out, cancel, done)
	cancel()
	<-done
	if err == nil {
		err = l.out.Flush(out)
	}
	if err != nil {
		return fmt.Errorf("live capture: %w", err)
	}
	return nil
}

// collect writes what the workers send until all have ended. After a failure of
// the output it only takes the items away, so that the workers can end.
func (l *Live) collect(ctx context.Context, failed func(), done <-chan struct{}) error {
	tick := time.NewTicker(batchAge / 2)
	defer tick.Stop()
	var err error
	for {
		select {
		case s := <-l.items:
			if e := l.take(ctx, s); e != nil && err == nil {
				err = e
				failed()
			}
		case <-tick.C:
			l.out.Tick(ctx)
		case <-done:
			for {
				select {
				case s := <-l.items:
					if e := l.take(ctx, s); err == nil {
						err = e
					}
				default:
					return err
				}
			}
		}
	}
}

// take writes one slice. The workers' heartbeats become those of the sensor, whose
// clock is that of the slowest of them. None says that the time domain ends: it is
// that of all live sensors.
func (l *Live) take(ctx context.Context, s slice) error {
	var err error
	for i := range *s.items {
		it := &(*s.items)[i]
		if it.Heartbeat == nil {
			err = cmp.Or(err, l.out.Emit(ctx, it))
		} else if beat := l.heard(s.from, it.Heartbeat.Clock); beat != 0 {
			err = cmp.Or(err, l.out.Emit(ctx, &proto.Item{Heartbeat: &proto.Heartbeat{Clock: beat}}))
		}
	}
	clear(*s.items)
	*s.items = (*s.items)[:0]
	l.pool.Put(s.items)
	if s.last {
		l.mu.Lock()
		delete(l.clocks, s.from)
		l.mu.Unlock()
	}
	return err
}

// heard notes a worker's clock, and gives that of the sensor when it is time for
// a heartbeat, else 0.
func (l *Live) heard(w *worker, clock proto.Time) proto.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clocks[w] = clock
	least := slices.Min(slices.Collect(maps.Values(l.clocks)))
	if least == 0 || (l.beaten != 0 && least.Sub(l.beaten) < heartbeatEvery) {
		return 0
	}
	l.beaten = least
	return least
}

func (l *Live) config() LiveConfig {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cfg
}

// seldom says yes once in a while.
type seldom struct {
	mu   sync.Mutex
	last time.Time
}

// sayEvery is how often one kind of trouble is logged.
const sayEvery = 10 * time.Second

func (s *seldom) may(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.last.IsZero() && now.Sub(s.last) < sayEvery {
		return false
	}
	s.last = now
	return true
}
