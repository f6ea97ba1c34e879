package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/spool"
	"github.com/wardflow/wardflow/proto"
)

// tape is a broker as a Sender's clients see one: it writes down what it takes.
type tape struct {
	mu      sync.Mutex
	away    bool          // takes nothing
	mute    bool          // takes, and does not say so
	late    time.Duration // says so that much later, although the client was closed meanwhile; 0: never
	refuses int           // values longer than so many bytes; 0: none
	batches int           // more that wait than so many: as kgo, which puts them into one batch; 0: any number
	lazy    bool          // takes a moment later, so that some wait
	fails   error
	links   []*tapeLink
	got     []taken
	clients int
}

type taken struct {
	partition int32
	number    uint64
	producer  byte
	sent, at  time.Time
}

type tapeLink struct {
	of      *tape
	waiting []func(error) // in order; nil once closed
	deliver []bus.Message
	closed  bool
}

func (b *tape) connect(int) (Link, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients++
	l := &tapeLink{of: b}
	b.links = append(b.links, l)
	return l, nil
}

func (b *tape) set(f func(*tape)) {
	b.mu.Lock()
	f(b)
	links := slices.Clone(b.links)
	b.mu.Unlock()
	for _, l := range links {
		l.move()
	}
}

// Produce keeps the message until the broker is there, as kgo does.
func (l *tapeLink) Produce(_ context.Context, m bus.Message, done func(error)) {
	l.of.mu.Lock()
	l.waiting, l.deliver = append(l.waiting, done), append(l.deliver, m)
	lazy := l.of.lazy
	l.of.mu.Unlock()
	if lazy {
		time.AfterFunc(time.Millisecond, l.move)
		return
	}
	l.move()
}

// move delivers what waits, and answers a moment later.
func (l *tapeLink) move() {
	b := l.of
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(l.deliver) > 0 && !b.away && !l.closed {
		m, done := l.deliver[0], l.waiting[0]
		var err error
		switch {
		case b.fails != nil:
			err = b.fails
		case b.refuses > 0 && len(m.Value) > b.refuses, b.batches > 0 && len(l.deliver) > b.batches:
			err = bus.ErrTooLarge
		default:
			b.got = append(b.got, taken{
				m.Partition, binary.BigEndian.Uint64(m.Value), m.Value[8],
				time.Unix(0, int64(m.Sent)), time.Now(),
			})
		}
		if b.mute && err == nil {
			l.deliver, l.waiting = l.deliver[1:], l.waiting[1:]
			if b.late > 0 {
				time.AfterFunc(b.late, func() { done(nil) })
			}
			continue
		}
		l.deliver, l.waiting = l.deliver[1:], l.waiting[1:]
		time.AfterFunc(time.Millisecond, func() { done(err) })
		if err != nil { // and all that waits for that partition
			var deliver []bus.Message
			var waiting []func(error)
			for i, other := range l.deliver {
				if other.Partition != m.Partition {
					deliver, waiting = append(deliver, other), append(waiting, l.waiting[i])
					continue
				}
				fail := l.waiting[i]
				time.AfterFunc(time.Millisecond, func() { fail(err) })
			}
			l.deliver, l.waiting = deliver, waiting
		}
	}
}

// Close fails what has no answer.
func (l *tapeLink) Close() {
	l.of.mu.Lock()
	waiting := l.waiting
	l.waiting, l.deliver, l.closed = nil, nil, true
	l.of.mu.Unlock()
	for _, done := range waiting {
		done(errors.New("closed"))
	}
}

func (b *tape) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.got)
}

// bed is a Sender under test, and what it was given.
type bed struct {
	*Sender
	t      *testing.T
	broker *tape
	stop   func() error
	given  map[int32]uint64
	name   byte
	length int // of a value
}

const lanes = 4

// roomy is a spool that holds all of an outage.
func roomy(c *SenderConfig) { c.Spool.MaxBytes = 64 << 20 }

func newBed(t *testing.T, dir string, change func(*SenderConfig)) *bed {
	t.Helper()
	return newBedAt(t, &tape{}, dir, change)
}

func newBedAt(t *testing.T, broker *tape, dir string, change func(*SenderConfig)) *bed {
	t.Helper()
	cfg := SenderConfig{
		Spool: spool.Config{Dir: dir, MaxBytes: 1 << 20, SegmentBytes: 64 << 10}, Partitions: lanes,
		Connect: broker.connect, Window: 64 << 10, Queue: 32 << 10,
	}
	if change != nil {
		change(&cfg)
	}
	broker.mu.Lock()
	broker.clients++
	name := byte(broker.clients)
	broker.mu.Unlock()
	b := &bed{Sender: NewSender(cfg), t: t, broker: broker, given: map[int32]uint64{}, length: 100, name: name}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = b.stop() })
	return b
}

// send hands n records over, one each ms, around the partitions.
func (b *bed) send(n int) {
	for i := range n {
		p := int32(i % lanes)
		b.given[p]++
		v := binary.BigEndian.AppendUint64(nil, b.given[p])
		v = append(v, b.name)
		b.Produce(b.t.Context(), bus.Message{Topic: proto.TopicTraffic, Partition: p, Value: append(v, make([]byte, b.length-len(v))...)}, nil)
		pause(time.Millisecond)
	}
}

func pause(d time.Duration) { <-time.After(d) }

// await lets time go by until the condition holds.
func (b *bed) await(what string, cond func(SenderStats) bool) {
	b.t.Helper()
	for range 3000 {
		if cond(b.Stats()) {
			return
		}
		pause(100 * time.Millisecond)
		synctest.Wait()
	}
	b.t.Fatalf("%s: does not come; %+v, %d taken", what, b.Stats(), b.broker.count())
}

func in(state SenderState) func(SenderStats) bool {
	return func(s SenderStats) bool { return s.State == state }
}

// accepted is what consumers have, by producer and partition: each number that is
// above all before it. It counts the repetitions.
func (b *tape) accepted() (map[string][]uint64, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out, repeated := map[string][]uint64{}, 0
	for _, r := range b.got {
		k := fmt.Sprintf("%d/%d", r.producer, r.partition)
		if have := out[k]; len(have) > 0 && r.number <= have[len(have)-1] {
			repeated++
			continue
		}
		out[k] = append(out[k], r.number)
	}
	return out, repeated
}

// complete wants every record that was handed over, once and in order.
func (b *bed) complete() (repeated int) {
	b.t.Helper()
	got, repeated := b.broker.accepted()
	for p, n := range b.given {
		have := got[fmt.Sprintf("%d/%d", b.name, p)]
		for i := range n {
			if i >= uint64(len(have)) || have[i] != i+1 {
				b.t.Fatalf("partition %d: %d records handed over; accepted %v...", p, n, have[max(0, int(i)-3):min(len(have), int(i)+3)])
			}
		}
	}
	return repeated
}

func (b *bed) noDrops() {
	b.t.Helper()
	for reason, n := range b.Stats().Dropped {
		if n > 0 {
			b.t.Errorf("%d dropped: %s", n, reason)
		}
	}
}
