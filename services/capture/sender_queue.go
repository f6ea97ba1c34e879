package capture

import (
	"context"
	"slices"
	"sync"
)

// senderQueue holds records between the packet loops and the Sender's goroutine,
// in order and bounded in bytes: at the bound push waits.
type senderQueue struct {
	added func() // told of each record

	mu      sync.Mutex
	entries []*entry
	bytes   int
	limit   int
	closed  bool
	room    chan struct{} // closed, and made anew, when there may be room
}

func newSenderQueue(limit int, added func()) *senderQueue {
	return &senderQueue{limit: limit, added: added, room: make(chan struct{})}
}

// push waits for room until ctx ends or ended is closed.
func (q *senderQueue) push(ctx context.Context, ended <-chan struct{}, e *entry) error {
	for {
		room, err := q.tryPush(e)
		if room == nil {
			if err == nil {
				q.added()
			}
			return err
		}
		select {
		case <-room:
		case <-ended:
			return ErrSenderEnded
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryPush gives a channel to wait on when the queue is full. A record that is
// longer than the bound goes into an empty queue.
func (q *senderQueue) tryPush(e *entry) (<-chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, ErrSenderEnded
	}
	if len(q.entries) > 0 && q.bytes+len(e.value) > q.limit {
		return q.room, nil
	}
	q.entries = append(q.entries, e)
	q.bytes += len(e.value)
	return nil, nil
}

func (q *senderQueue) pop() *entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.entries) == 0 {
		return nil
	}
	e := q.entries[0]
	q.entries[0] = nil
	q.entries = q.entries[1:]
	q.bytes -= len(e.value)
	q.wake()
	return e
}

// head is the oldest record, which stays; nil when there is none.
func (q *senderQueue) head() *entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.entries) == 0 {
		return nil
	}
	return q.entries[0]
}

// putBack puts records before all others, whatever the bound says.
func (q *senderQueue) putBack(first []*entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entries = slices.Concat(first, q.entries)
	for _, e := range first {
		q.bytes += len(e.value)
	}
}

func (q *senderQueue) limitTo(bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if bytes != q.limit {
		q.limit = bytes
		q.wake()
	}
}

func (q *senderQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

func (q *senderQueue) wake() {
	close(q.room)
	q.room = make(chan struct{})
}

// size is in bytes.
func (q *senderQueue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

func (q *senderQueue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.entries)
}
