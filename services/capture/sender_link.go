package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/failpoint"
	"github.com/wardflow/wardflow/proto"
)

// ackBox is where clients leave their answers, in goroutines of their own.
type ackBox struct {
	mu      sync.Mutex
	answers []answer
	spare   []answer
}

type answer struct {
	of     *entry
	client uint64
	err    error
}

func (b *ackBox) put(a answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers = append(b.answers, a)
}

// take gives what has come since; it is valid until the next call.
func (b *ackBox) take() []answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.spare)
	b.answers, b.spare = b.spare[:0], b.answers
	return b.spare
}

// connect makes a client when there is none and it is time for one.
func (s *Sender) connect(now time.Time) {
	c := &s.conn
	if c.link != nil || now.Before(c.retryAt) {
		return
	}
	l, err := s.cfg.Connect(2*s.cfg.Window + s.cfg.Queue) // more than we give it, so that it never blocks us
	if err != nil {
		s.retryLink(now, fmt.Errorf("make a client of the broker: %w", err))
		return
	}
	c.link, c.proven = l, false
	c.number++
	c.ctx, c.cancel = context.WithCancel(context.Background())
}

// produce hands a record to the client.
func (s *Sender) produce(now time.Time, e *entry) {
	if len(s.window) == 0 {
		s.front = now
	}
	s.window = append(s.window, e)
	s.bytes += len(e.value)
	if e.number == 0 {
		s.direct++
	}
	client := s.conn.number
	failpoint.Hit("sender.produce.before")
	m := bus.Message{Topic: proto.TopicTraffic, Partition: e.partition, Value: e.value, Sent: proto.TimeOf(now)}
	s.conn.link.Produce(s.conn.ctx, m, func(err error) {
		s.acks.put(answer{of: e, client: client, err: err})
		s.poke()
	})
	failpoint.Hit("sender.produce.after")
}

// collect takes in what the client has answered.
func (s *Sender) collect(now time.Time) {
	var failed error
	var refused *entry
	for _, a := range s.acks.take() {
		switch {
		case a.client != s.conn.number || s.conn.link == nil:
		case a.err != nil:
			if failed == nil || errors.Is(a.err, bus.ErrTooLarge) {
				failed = a.err
			}
			if errors.Is(a.err, bus.ErrTooLarge) && len(s.window) == 1 {
				refused = a.of
			}
		default:
			s.settle(a.of)
		}
	}
	s.advance(now)
	switch {
	case refused != nil:
		s.refuse(now, refused, failed)
	case failed != nil:
		if errors.Is(failed, bus.ErrTooLarge) {
			// The client fails a partition as a whole: sent one by one, the one that is
			// too large is found.
			s.conn.alone = len(s.window)
		}
		s.fail(now, failed)
	}
}

// settle marks a record that the broker has.
func (s *Sender) settle(e *entry) {
	failpoint.Hit("sender.acked")
	e.settled = true
	if e.number == 0 {
		s.direct--
	}
	e.finish(nil)
	s.conn.proven, s.conn.backoff = true, 0
	s.conn.alone = max(0, s.conn.alone-1)
}

// advance takes what is settled from the window's front.
func (s *Sender) advance(now time.Time) {
	n := 0
	for ; n < len(s.window) && s.window[n].settled; n++ {
		e := s.window[n]
		s.bytes -= len(e.value)
		s.count(func(st *SenderStats) {
			switch {
			case e.number == 0:
				st.Direct++
			case e.value != nil:
				st.Drained++
			}
		})
		s.ackTo = max(s.ackTo, e.number)
	}
	if n > 0 {
		s.front = now
		s.window = slices.Delete(s.window, 0, n)
	}
}

// refuse drops the only record under way, because the broker will never take it.
func (s *Sender) refuse(now time.Time, e *entry, err error) {
	s.drop(e, DropTooLarge, fmt.Errorf("send batch of %d bytes to partition %d: %w; raise max.message.bytes of the topic, and message.max.bytes of the brokers, to 1 MiB", len(e.value), e.partition, err))
	s.ackTo = max(s.ackTo, e.number)
	s.window, s.bytes, s.direct = nil, 0, 0
	s.conn.alone = max(0, s.conn.alone-1)
	s.fail(now, err)
	s.conn.retryAt = now
}

// fail throws the client away. What it had in memory goes back to the queue's
// front, what is in the spool will be read again.
func (s *Sender) fail(now time.Time, err error) {
	s.hangUp()
	s.retryLink(now, err)
	s.acknowledge(now, true)
	var back []*entry
	for _, e := range s.window {
		if e.number == 0 && !e.settled {
			back = append(back, e)
		}
	}
	s.queue.putBack(back)
	s.window, s.bytes, s.direct = nil, 0, 0
	if s.spool != nil {
		s.spool.Rewind()
	}
	s.divert(now, err.Error())
	s.count(func(st *SenderStats) { st.Reconnects++ })
}

func (s *Sender) retryLink(now time.Time, err error) {
	c := &s.conn
	c.backoff = min(max(2*c.backoff, linkRetry), linkRetryMost)
	c.retryAt = now.Add(c.backoff)
	s.trouble(fmt.Errorf("send to Kafka: %w", err))
}

// hangUp closes the client without waiting for it.
func (s *Sender) hangUp() {
	c := &s.conn
	if c.link == nil {
		return
	}
	c.cancel()
	c.closings.Go(c.link.Close)
	c.link, c.proven = nil, false
}
