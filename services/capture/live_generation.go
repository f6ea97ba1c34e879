package capture

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// generation is the workers and rings of one configuration. When that changes the
// next generation is opened beside it, and a time is named: what was received
// before it is the old one's, the rest the new one's. So nothing is lost and
// nothing is counted twice.
type generation struct {
	live    *Live
	cfg     LiveConfig
	ports   []*port
	workers []*worker
	until   atomic.Int64 // proto.Time; 0 while it is in charge
	stopped chan struct{}
	once    sync.Once
}

// open makes a generation whose rings are open; must names the interfaces that
// have to be there, nil being content with any one.
func (l *Live) open(cfg LiveConfig, must func(name string) bool) (*generation, error) {
	g := &generation{live: l, cfg: cfg, stopped: make(chan struct{})}
	for _, name := range cfg.Interfaces {
		g.ports = append(g.ports, newPort(g, name, l.wire(name)))
	}
	for i := range cfg.Workers {
		g.workers = append(g.workers, newWorker(g, i))
	}
	var errs []error
	failed := false
	for _, p := range g.ports {
		if err := p.open(); err != nil {
			errs = append(errs, err)
			failed = failed || (must != nil && must(p.name))
		}
	}
	if failed || len(errs) == len(g.ports) {
		g.abandon()
		return nil, errors.Join(errs...)
	}
	for _, err := range errs {
		l.log.Warn("an interface cannot be opened; it is tried again", "error", err)
	}
	return g, nil
}

// abandon closes the rings of a generation that was never started.
func (g *generation) abandon() {
	for _, p := range g.ports {
		p.closeOffered()
	}
}

// start lets a generation capture what is received from a time on.
func (l *Live) start(g *generation, from proto.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopping {
		g.abandon()
		return
	}
	for _, w := range g.workers {
		w.begin(l.segment, from)
		l.clocks[w] = 0
	}
	l.gen, l.cfg = g, g.cfg
	l.gens = append(l.gens, g)
	l.running.Add(1)
	go g.run()
}

// stop ends the generation in charge, and lets no other follow.
func (l *Live) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopping = true
	if l.gen != nil {
		l.gen.stop(proto.TimeOf(l.now()))
	}
}

func (g *generation) stop(until proto.Time) {
	g.once.Do(func() {
		g.until.Store(int64(until))
		close(g.stopped)
	})
}

// run lives until the workers have ended.
func (g *generation) run() {
	defer g.live.running.Done()
	var work sync.WaitGroup
	for _, w := range g.workers {
		work.Go(w.run)
	}
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { g.watch(ended) })
	work.Wait()
	close(ended)
	watch.Wait()
	g.abandon()
	g.live.retire(g)
}

// watchEvery is how often the interfaces and their counters are looked at.
const watchEvery = 500 * time.Millisecond

// watch opens interfaces again that went away, and reads the kernel's counters.
func (g *generation) watch(ended <-chan struct{}) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	wall, begun := g.live.now().Round(0), time.Now()
	for {
		select {
		case <-ended:
			return
		case <-g.stopped: // what goes away now is not opened again
			<-ended
			return
		case <-tick.C:
		}
		passed, shown := time.Since(begun), g.live.now().Round(0).Sub(wall)
		if wall, begun = wall.Add(shown), begun.Add(passed); passed-shown > stepBack {
			go g.live.renew(g, passed-shown)
		}
		for _, p := range g.ports {
			p.look()
		}
	}
}

// stepBack is how far the machine's clock may be set back before flows begin anew.
const stepBack = 2 * time.Second

// renew begins with a new generation after the clock was set back: for the old one
// time would stand still until the clock is again where it was, no flow would end
// and no heartbeat be sent.
func (l *Live) renew(old *generation, by time.Duration) {
	l.change.Lock()
	defer l.change.Unlock()
	l.mu.Lock()
	inCharge := l.gen == old && !l.stopping
	l.mu.Unlock()
	if !inCharge {
		return
	}
	l.log.Warn("the clock was set back: open flows end here and go on as new ones", "by", by)
	next, err := l.open(old.cfg, nil)
	if err != nil {
		l.log.Error("capture cannot begin anew after the clock was set back", "error", err)
		return
	}
	l.mu.Lock()
	l.beaten = 0
	l.mu.Unlock()
	from := proto.TimeOf(l.now())
	l.start(next, from)
	old.stop(from)
}

// retire adds what the generation came to to what has ended.
func (l *Live) retire(g *generation) {
	for _, p := range g.ports {
		p.count()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range g.workers {
		l.ended.add(w.summary.Load())
	}
	l.gens = slices.DeleteFunc(l.gens, func(x *generation) bool { return x == g })
}

// ErrStopping is returned for a change of a sensor that does not run.
var ErrStopping = errors.New("the sensor does not run")

// Reconfigure puts a configuration in force: the new rings are opened, then they
// take over at one moment, then the old ones are closed. Open flows end there and
// go on as new ones. On an error all stays as it was, and Stats says why. What
// the configuration leaves open stays as it is.
func (l *Live) Reconfigure(sc proto.SensorConfig) error {
	l.change.Lock()
	defer l.change.Unlock()
	err := l.reconfigure(sc)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.problem = err.Error()
		return fmt.Errorf("change the sensor's configuration to version %d: %w", sc.Version, err)
	}
	l.version, l.problem = sc.Version, ""
	return nil
}

func (l *Live) reconfigure(sc proto.SensorConfig) error {
	l.mu.Lock()
	old, cfg := l.gen, l.cfg
	stopping := l.stopping
	l.mu.Unlock()
	if old == nil || stopping {
		return ErrStopping
	}
	before := cfg
	if err := cfg.change(sc); err != nil {
		return err
	}
	if same(&before, &cfg) {
		return nil
	}
	next, err := l.open(cfg, func(name string) bool { return !slices.Contains(before.Interfaces, name) })
	if err != nil {
		return err
	}
	if !slices.Equal(cfg.Processor.Home, old.cfg.Processor.Home) {
		l.mu.Lock()
		l.segment = newSegment(cfg.Processor.Site, cfg.Processor.Home)
		l.mu.Unlock()
	}
	from := proto.TimeOf(l.now())
	l.start(next, from)
	old.stop(from)
	return nil
}

// same reports that what change can change is the same.
func same(a, b *LiveConfig) bool {
	return slices.Equal(a.Interfaces, b.Interfaces) && a.Filter == b.Filter && a.Workers == b.Workers &&
		a.Processor.ActiveTimeout == b.Processor.ActiveTimeout && slices.Equal(a.Processor.Home, b.Processor.Home)
}

// change takes over what a SensorConfig says.
func (c *LiveConfig) change(sc proto.SensorConfig) error {
	if sc.Interfaces != nil {
		c.Interfaces = slices.Clone(sc.Interfaces)
	}
	if sc.Filter != nil {
		c.Filter = *sc.Filter
	}
	if sc.Workers != 0 {
		c.Workers = sc.Workers
	}
	if sc.ActiveTimeout != 0 {
		c.Processor.ActiveTimeout = time.Duration(sc.ActiveTimeout) * time.Second
	}
	if c.Processor.ActiveTimeout < 0 || c.Processor.ActiveTimeout > time.Hour {
		return fmt.Errorf("active_timeout_s: is %d; want 1 to 3600", sc.ActiveTimeout)
	}
	if len(sc.Home) > 0 {
		c.Processor.Home = nil
		for _, s := range sc.Home {
			p, err := netip.ParsePrefix(s)
			if err != nil {
				return fmt.Errorf("home: %q is no CIDR such as 10.0.0.0/8", s)
			}
			c.Processor.Home = append(c.Processor.Home, p.Masked())
		}
	}
	return c.Validate()
}
