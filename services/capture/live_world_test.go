package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/packet/ring"
	"github.com/wardflow/wardflow/proto"
)

// scene is a live sensor on interfaces that are made up, in a bubble of time.
type scene struct {
	t    *testing.T
	live *Live
	end  context.CancelFunc
	done chan error
	log  *bytes.Buffer

	mu       sync.Mutex
	there    map[string]int // interfaces by index
	rings    []*fakeRing    // that were opened
	messages []bus.Message
	blocked  chan struct{} // Produce waits for it while it is there
	failed   error         // of Flush
	slow     time.Duration // that opening a ring takes
}

// fakeRing is what a worker reads.
type fakeRing struct {
	mu     sync.Mutex
	cfg    ring.Config
	queue  []ring.Packet
	err    error
	stats  ring.Stats
	closed bool
}

func (r *fakeRing) TryNext(p *ring.Packet) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		return false
	}
	*p, r.queue = r.queue[0], r.queue[1:]
	return true
}

func (r *fakeRing) Check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.err
	r.err = nil
	return err
}

func (r *fakeRing) Stats() (ring.Stats, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats, nil
}

func (r *fakeRing) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return nil
}

// drop makes the kernel have dropped so many.
func (r *fakeRing) drop(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Drops = n
}

func (r *fakeRing) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

func (r *fakeRing) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue)
}

func (s *scene) Produce(ctx context.Context, m bus.Message, _ func(error)) {
	s.mu.Lock()
	blocked := s.blocked
	s.mu.Unlock()
	if blocked != nil {
		select {
		case <-blocked:
		case <-ctx.Done():
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
}

func (s *scene) Flush(context.Context) error { return s.failed }

func newScene(t *testing.T, cfg LiveConfig, partitions int32) *scene {
	t.Helper()
	s := &scene{t: t, done: make(chan error, 1), log: &bytes.Buffer{}, there: map[string]int{}}
	for i, name := range cfg.Interfaces {
		s.there[name] = i + 1
	}
	cfg.Processor.Site, cfg.Processor.Sensor = site, "tap"
	cfg.Log = slog.New(slog.NewTextHandler(s.log, nil))
	cfg.open, cfg.index = s.open, s.index
	cfg.link = func(string) (packet.LinkType, error) { return packet.LinkEthernet, nil }
	l, err := NewLive(cfg, s, partitions)
	if err != nil {
		t.Fatal(err)
	}
	s.live = l
	return s
}

func (s *scene) open(cfg ring.Config) (source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.there[cfg.Interface] == 0 {
		return nil, fmt.Errorf("interface %s: %w", cfg.Interface, ring.ErrDown)
	}
	r := &fakeRing{cfg: cfg}
	s.rings = append(s.rings, r)
	if s.slow > 0 { // it receives meanwhile
		s.mu.Unlock()
		pause(s.slow)
		s.mu.Lock()
	}
	return r, nil
}

func (s *scene) index(name string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.there[name] == 0 {
		return 0, errors.New("no such interface")
	}
	return s.there[name], nil
}

// put makes an interface be there under an index; 0 takes it away.
func (s *scene) put(name string, index int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.there[name] = index
}

// begin runs the sensor until end.
func (s *scene) begin() {
	ctx, cancel := context.WithCancel(s.t.Context())
	s.end = cancel
	go func() { s.done <- s.live.Run(ctx) }()
	synctest.Wait()
}

func (s *scene) finish() {
	s.t.Helper()
	s.end()
	if err := <-s.done; err != nil {
		s.t.Error(err)
	}
	for _, r := range s.rings {
		if !r.closed {
			s.t.Errorf("a ring of %s is not closed", r.cfg.Interface)
		}
	}
}

// open rings of an interface, in the order of the workers.
func (s *scene) of(name string) []*fakeRing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.rings), func(r *fakeRing) bool { return r.cfg.Interface != name || r.isClosed() })
}

// receive gives a frame, as received some time ago, to every open ring i of an interface.
func (s *scene) receive(name string, worker, workers int, ago time.Duration, f frame) {
	raw := f.bytes()
	p := ring.Packet{Time: proto.TimeOf(time.Now().Add(-ago)), LinkType: packet.LinkEthernet, WireLen: len(raw), Data: raw}
	for i, r := range s.of(name) {
		if i%workers == worker {
			r.mu.Lock()
			r.queue = append(r.queue, p)
			r.mu.Unlock()
		}
	}
}

// batches are those of a partition, in order; their numbers have no gap.
func (s *scene) batches(partition int32) []proto.Batch {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []proto.Batch
	next := uint64(1)
	for _, m := range s.messages {
		if m.Partition != partition {
			continue
		}
		var b proto.Batch
		if err := proto.Unmarshal(m.Value, &b); err != nil {
			s.t.Fatal(err)
		}
		if b.FirstSeq != next || b.Domain != proto.LiveDomain || b.Producer != "live:ward/tap/"+s.live.run.String() || m.Sent == 0 {
			s.t.Errorf("batch %d of %q in %q, sent %d; want number %d", b.FirstSeq, b.Producer, b.Domain, m.Sent, next)
		}
		next += uint64(len(b.Items))
		out = append(out, b)
	}
	return out
}

// flows are the flows of one partition, mirrors left out.
func (s *scene) flows() []*proto.Flow {
	var out []*proto.Flow
	for _, b := range s.batches(0) {
		for _, it := range b.Items {
			if it.Flow != nil && !it.Mirror {
				out = append(out, it.Flow)
			}
		}
	}
	return out
}

func (s *scene) beats(partition int32) []proto.Time {
	s.t.Helper()
	var out []proto.Time
	for _, b := range s.batches(partition) {
		for _, it := range b.Items {
			if it.Heartbeat != nil {
				out = append(out, it.Heartbeat.Clock)
				if it.Heartbeat.End {
					s.t.Error("a sensor ends the time of all sensors")
				}
			}
		}
	}
	return out
}
