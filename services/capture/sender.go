package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/failpoint"
	"github.com/wardflow/wardflow/pkg/spool"
	"github.com/wardflow/wardflow/proto"
)

// ErrSenderEnded is given for what comes after the Sender has ended.
var ErrSenderEnded = errors.New("the sender has ended")

// Link is what a Sender needs of a client of the broker; bus.Producer has it.
// Produce must not block below the bound that the client was made with.
type Link interface {
	Produce(ctx context.Context, m bus.Message, done func(error))
	Close()
}

// SenderConfig describes a Sender; zero values of the bounds take defaults.
type SenderConfig struct {
	Spool spool.Config // its OnDrop is the Sender's own
	// Partitions of wardflow.traffic. A spool that was written for another count is
	// refused: its records' partitions and numbers mean nothing in the new layout.
	Partitions int32
	// Connect makes a client that may buffer maxBuffered bytes. It does not wait
	// for the broker.
	Connect func(maxBuffered int) (Link, error)
	Log     *slog.Logger

	Wait   time.Duration // the broker may take so long for a record before all goes to the spool; default 3 s
	Stall  time.Duration // without progress for so long a new client is made; default 10 s
	Grace  time.Duration // at the end the broker is waited for so long before the rest goes to the spool; default 2 s
	Window int           // bytes handed to the client and not acknowledged; default 32 MiB
	Queue  int           // bytes between Produce and the Sender's goroutine; default 16 MiB
}

func (c *SenderConfig) setDefaults() {
	c.Wait, c.Stall, c.Grace = orElse(c.Wait, 3*time.Second), orElse(c.Stall, 10*time.Second), orElse(c.Grace, 2*time.Second)
	c.Window, c.Queue = orElse(c.Window, 32<<20), orElse(c.Queue, 16<<20)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// The Sender's own bounds.
const (
	senderTick    = 100 * time.Millisecond // how often time is looked at
	ackEvery      = 250 * time.Millisecond // between acknowledgements in the spool, each of which may be synced
	spoolRetry    = time.Second            // after the spool has not taken a record
	openRetry     = 10 * time.Second       // after the spool could not be opened
	linkRetry     = 250 * time.Millisecond // after a client has failed; doubles up to the next
	linkRetryMost = 5 * time.Second
	storeAtOnce   = 64      // records from queue to spool before the window is filled again
	windowMost    = 1 << 14 // records in the window
)

// entry is a record on its way.
type entry struct {
	partition int32
	value     []byte
	since     time.Time   // when it was handed over or read from the spool
	number    uint64      // in the spool; 0 when it is in memory only
	settled   bool        // the broker has it
	done      func(error) // called once, when broker or spool has it
}

func (e *entry) finish(err error) {
	if e.done != nil {
		e.done(err)
		e.done = nil
	}
}

// Sender writes a live sensor's batches: to the broker while it answers, to a
// spool on disk while it does not, and from there to the broker afterwards, in
// order. What it loses is counted by reason.
//
//	Produce -> queue -> window (client of the broker)      direct
//	Produce -> queue -> spool -> window                    spooling, draining
//
// The window holds what the client has and the broker has not acknowledged. When
// its oldest waits for longer than Wait, all of it is appended to the spool, and
// every record after it too: the spool then begins with what is under way, and
// nothing need be taken back from the client. When all in the spool is in the
// window, new records follow it there directly, in the same client, so that a
// partition's order is kept. A client that fails, or moves nothing for Stall, is
// thrown away: what it had is read from the spool again, and sent by a new one.
// So a record may reach the broker twice, always with the same number in its
// batch, and consumers drop the second. A new client gets a single record until
// the broker has answered.
//
// A kill loses what is neither in the spool nor acknowledged: at most what came
// within the last Wait.
//
// Produce and Flush may be called by several goroutines, also before Run; order
// is that of the calls.
type Sender struct {
	cfg   SenderConfig
	queue *senderQueue
	acks  ackBox
	wake  chan struct{}
	ended chan struct{} // closed when Run has returned

	// All below belongs to Run's goroutine.
	spool        *spool.Spool // nil where it could not be opened
	spooling     bool         // new records go to the spool
	stuck        stuck
	window       []*entry // handed to the client, oldest first; those in the spool come before those that are not
	bytes        int      // of the window
	direct       int      // entries of the window that are not in the spool and not settled
	front        time.Time
	payload      []byte
	conn         connection
	ackTo        uint64 // to be acknowledged in the spool
	acked        uint64
	ackedAt      time.Time
	closing      bool
	away         time.Time // since when records go to the spool
	quietTrouble logQuiet
	published    struct {
		state SenderState
		at    time.Time
	}
	flushing []chan struct{}

	mu      sync.Mutex
	quiet   logQuiet
	stats   SenderStats
	flushes []chan struct{} // asked for, and not yet seen by Run
}

// stuck is a spool that does not take records now.
type stuck struct {
	reason spool.Reason // "" when it does
	until  time.Time    // when to try again
}

// connection is the client in use, if there is one.
type connection struct {
	link     Link
	number   uint64 // of the client, so that late answers of an old one are known
	cancel   context.CancelFunc
	ctx      context.Context //nolint:containedctx // the client's own life, which is not that of a call
	proven   bool            // it has had an answer
	alone    int             // so many records go one by one, because one of them is refused
	retryAt  time.Time
	backoff  time.Duration
	closings sync.WaitGroup
}

// NewSender makes a Sender; nothing happens before Run.
func NewSender(cfg SenderConfig) *Sender {
	cfg.setDefaults()
	s := &Sender{cfg: cfg, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	s.queue = newSenderQueue(cfg.Queue, s.poke)
	s.stats = newSenderStats()
	return s
}

func (s *Sender) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Produce hands a batch of wardflow.traffic over; key and envelope are not for
// it. It blocks while the queue is full. done, when not nil, is called once: with
// nil when the broker or the spool has the batch, with an error when it was
// dropped, which is counted. The value is kept until then.
func (s *Sender) Produce(ctx context.Context, m bus.Message, done func(error)) {
	e := &entry{partition: m.Partition, value: m.Value, since: time.Now(), done: done}
	switch {
	case m.Topic != proto.TopicTraffic || m.Key != nil || m.Envelope != nil || m.Partition < 0 || m.Partition >= s.cfg.Partitions:
		e.finish(fmt.Errorf("send to %s/%d: only batches of %s in %d partitions are sent", m.Topic, m.Partition, proto.TopicTraffic, s.cfg.Partitions))
	case len(m.Value) > bus.MaxRecordBytes-64: // room for the header
		s.drop(e, DropTooLarge, fmt.Errorf("send batch of %d bytes to %s/%d: %w (%d)", len(m.Value), m.Topic, m.Partition, bus.ErrTooLarge, bus.MaxRecordBytes))
	default:
		if err := s.queue.push(ctx, s.ended, e); err != nil {
			s.drop(e, DropEnded, fmt.Errorf("send to %s/%d: %w", m.Topic, m.Partition, err))
		}
	}
}

// Flush waits until broker or spool has everything handed over before.
func (s *Sender) Flush(ctx context.Context) error {
	done := make(chan struct{})
	s.mu.Lock()
	s.flushes = append(s.flushes, done)
	s.mu.Unlock()
	s.poke()
	select {
	case <-done:
		return nil
	case <-s.ended:
		select {
		case <-done:
			return nil
		default:
			return fmt.Errorf("flush: %w", ErrSenderEnded)
		}
	case <-ctx.Done():
		return fmt.Errorf("flush to broker or spool: %w", ctx.Err())
	}
}

// Run sends until ctx ends; then what the broker has not taken within Grace goes
// to the spool. It fails only where a spool is there that was written for another
// count of partitions; one that cannot be used otherwise is told, counted and
// tried again, while records wait in memory as far as they fit.
func (s *Sender) Run(ctx context.Context) error {
	defer close(s.ended)
	if err := s.openSpool(time.Now()); err != nil {
		s.queue.close()
		return err
	}
	tick := time.NewTicker(senderTick)
	defer tick.Stop()
	for ctx.Err() == nil {
		s.step(time.Now())
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-tick.C:
		}
	}
	return s.finish(tick.C)
}

// step does all that can be done now, without waiting for anybody.
func (s *Sender) step(now time.Time) {
	s.collect(now)
	s.watch(now)
	s.connect(now)
	s.reopen(now)
	if s.spooling {
		s.store(now, storeAtOnce)
	}
	s.feed(now)
	s.acknowledge(now, false)
	if s.spool != nil {
		s.spool.Tick()
	}
	s.trim(now)
	s.flushed()
	s.publish(now)
}

// watch decides whether the broker takes too long.
func (s *Sender) watch(now time.Time) {
	if s.conn.link != nil && len(s.window) > 0 && now.Sub(s.front) > s.cfg.Stall {
		s.fail(now, fmt.Errorf("nothing was acknowledged for %v", s.cfg.Stall))
	}
	if s.spooling {
		return
	}
	why := ""
	head := s.queue.head()
	switch {
	case s.direct > 0 && now.Sub(s.oldest().since) > s.cfg.Wait, head != nil && now.Sub(head.since) > s.cfg.Wait:
		why = "the broker takes long"
	case head != nil && s.bytes >= s.cfg.Window, s.queue.size() > s.cfg.Queue/2 && !s.ready():
		why = "more waits for the broker than memory is meant for"
	}
	if why != "" {
		s.divert(now, why)
	}
}

// oldest is the first entry of the window that is in memory only.
func (s *Sender) oldest() *entry {
	return s.window[slices.IndexFunc(s.window, func(e *entry) bool { return e.number == 0 && !e.settled })]
}

// divert lets new records go to the spool.
func (s *Sender) divert(now time.Time, why string) {
	s.spooling = true
	if s.away.IsZero() {
		s.away = now
		s.cfg.Log.Warn("Kafka does not take what is sent; records go to the spool", "why", why, "window_bytes", s.bytes, "spool", s.cfg.Spool.Dir)
	}
}

// feed fills the window from spool or queue.
func (s *Sender) feed(now time.Time) {
	for s.ready() {
		e := s.next(now)
		if e == nil {
			return
		}
		s.produce(now, e)
	}
}

// ready tells whether the client may be given one more record.
func (s *Sender) ready() bool {
	c := &s.conn
	most := s.cfg.Window
	if s.spooling {
		most /= 4 // what is read early from the spool gains nothing, and says an old time of sending
	}
	switch {
	case c.link == nil || len(s.window) >= windowMost:
		return false
	case !c.proven || c.alone > 0:
		return len(s.window) == 0
	}
	return s.bytes < most
}

// next is the record that is to be sent next. When the spool is read to its end
// the queue follows; those of the spool are then still ahead in the window.
func (s *Sender) next(now time.Time) *entry {
	if s.spooling && s.spool != nil {
		if s.closing {
			return nil
		}
		e, err := s.read(now)
		if err == nil {
			return e
		}
		if !errors.Is(err, io.EOF) {
			return nil
		}
	}
	if s.spooling {
		failpoint.Hit("sender.direct")
		s.spooling = false
	}
	return s.queue.pop()
}

// trim drops the oldest records of the queue when they do not fit while neither
// broker nor spool takes any.
func (s *Sender) trim(now time.Time) {
	limit := s.cfg.Queue
	if s.stuck.reason != "" {
		limit += s.cfg.Window
	}
	s.queue.limitTo(limit)
	if s.stuck.reason == "" || s.answering(now) {
		return
	}
	for s.queue.size() > limit-limit/8 {
		e := s.queue.pop()
		s.drop(e, s.stuck.reason, fmt.Errorf("send to partition %d: the broker is away and the spool takes nothing (%s): %w", e.partition, s.stuck.reason, spool.ErrDropped))
	}
}

// flushed answers those who wait for a Flush.
func (s *Sender) flushed() {
	s.mu.Lock()
	s.flushing = append(s.flushing, s.flushes...)
	s.flushes = nil
	s.mu.Unlock()
	if len(s.flushing) == 0 || s.direct > 0 || s.queue.size() > 0 {
		return
	}
	for _, done := range s.flushing {
		close(done)
	}
	s.flushing = nil
}

// finish waits for the broker a little, and puts the rest into the spool.
func (s *Sender) finish(tick <-chan time.Time) error {
	s.closing = true
	for until := time.Now().Add(s.cfg.Grace); s.conn.proven && time.Now().Before(until); {
		s.step(time.Now())
		if len(s.window) == 0 && (s.queue.size() == 0 || s.spooling) {
			break
		}
		select {
		case <-s.wake:
		case <-tick:
		}
	}
	now := time.Now()
	s.collect(now)
	s.queue.close()
	if s.direct > 0 || s.queue.size() > 0 {
		s.divert(now, "the sensor stops")
		s.stuck = stuck{}
		s.store(now, -1)
	}
	for _, e := range s.window {
		if e.number == 0 && !e.settled {
			s.drop(e, orElse(s.stuck.reason, DropEnded), fmt.Errorf("send to partition %d: %w", e.partition, ErrSenderEnded))
		}
	}
	for e := s.queue.pop(); e != nil; e = s.queue.pop() {
		s.drop(e, orElse(s.stuck.reason, DropEnded), fmt.Errorf("send to partition %d: %w", e.partition, ErrSenderEnded))
	}
	s.direct = 0
	s.hangUp()
	s.conn.closings.Wait()
	s.acknowledge(now, true)
	s.flushed()
	s.published.at = time.Time{}
	s.publish(now)
	if s.spool == nil {
		return nil
	}
	if err := s.spool.Close(); err != nil {
		return fmt.Errorf("close spool: %w", err)
	}
	return nil
}

// drop counts a record that is lost.
func (s *Sender) drop(e *entry, reason spool.Reason, err error) {
	s.mu.Lock()
	s.stats.Dropped[reason]++
	s.stats.DroppedBytes[reason] += int64(len(e.value))
	total, loud := maps.Clone(s.stats.Dropped), s.quiet.may()
	s.mu.Unlock()
	if loud {
		s.cfg.Log.Error("a record of the capture is lost", "err", err, "lost_so_far", total)
	}
	e.finish(err)
}
