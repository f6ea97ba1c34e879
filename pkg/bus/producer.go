package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// MaxRecordBytes bounds a record's key, value and headers together: what is
// longer no topic of ours takes.
const MaxRecordBytes = maxMessageBytes - 8192

// ErrTooLarge is in the error of a write that the broker, or this client on its
// behalf, has refused for its size: it will never be taken. The client fails with
// it everything that waits for the same partition, so of several writes it does
// not tell which one it was.
var ErrTooLarge = errors.New("record is larger than the topic takes")

// produceOptions are common to all that write: acknowledged by all in-sync
// replicas, idempotent, our own partitions.
func produceOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(maxMessageBytes - 4096),
		kgo.ProducerLinger(0),
	}
}

// Producer writes batches without a transaction: capture's way. Order per
// partition is kept; a write whose outcome is unknown is retried by the client
// as the same write, and after a restart the numbers in the batches tell.
//
// What becomes of a write when the broker
//   - does not answer: it waits, however long;
//   - has forgotten the producer (its log was wiped, or aged out): it is written
//     under a new producer id, in order;
//   - does not know the topic, or knows another of that name: it fails after some
//     seconds, and so does what waits for that partition. A topic that was made
//     anew is written to by a new Producer only;
//   - finds it too large: it fails at once with ErrTooLarge.
//
// A failed write takes with it what waits for the same partition, so that nothing
// overtakes it; later writes are tried again.
type Producer struct {
	cl *kgo.Client

	mu  sync.Mutex
	err error
}

// NewProducer makes a producer. maxBuffered bounds the bytes that wait for the
// broker; Produce blocks at the bound.
func NewProducer(c Config, maxBuffered int) (*Producer, error) {
	opts := append(produceOptions(),
		kgo.MaxBufferedBytes(maxBuffered),
		kgo.MaxBufferedRecords(1<<20), // bytes are what bounds
		kgo.RecordRetries(1<<31-1),    // the broker may be away for hours: what waits is bounded, and never lost
		kgo.UnknownTopicRetries(unknownTopicRetries),
	)
	cl, err := c.client(opts...)
	if err != nil {
		return nil, err
	}
	return &Producer{cl: cl}, nil
}

// unknownTopicRetries bounds how often a topic may be unknown in a row. A broker
// that has just started does not know all topics for a moment.
const unknownTopicRetries = 20

// Produce hands a message to the client. done, when not nil, is called once
// with the write's outcome. It blocks while the buffer is full.
func (p *Producer) Produce(ctx context.Context, m Message, done func(error)) {
	p.cl.Produce(ctx, m.toKgo(), func(_ *kgo.Record, err error) {
		if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) {
			err = fmt.Errorf("%w: %w", ErrTooLarge, err)
		}
		if err != nil {
			p.mu.Lock()
			if p.err == nil {
				p.err = fmt.Errorf("write to %s/%d: %w", m.Topic, m.Partition, err)
			}
			p.mu.Unlock()
		}
		if done != nil {
			done(err)
		}
	})
}

// Flush waits until everything handed over is written, and gives the first
// error since the last Flush.
func (p *Producer) Flush(ctx context.Context) error {
	if err := p.cl.Flush(ctx); err != nil {
		return fmt.Errorf("flush to Kafka: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.err
	p.err = nil
	return err
}

// Buffered is the number of records that wait for the broker.
func (p *Producer) Buffered() int64 { return p.cl.BufferedProduceRecords() }

// Close gives the connections up. What is not written fails; it may reach the
// broker all the same if it was under way.
func (p *Producer) Close() { p.cl.Close() }

// WriteAll writes messages in one transaction: all are seen, or none. It is how
// a control event reaches every partition.
func WriteAll(ctx context.Context, c Config, transactionalID string, messages []Message) error {
	opts := append(produceOptions(), kgo.TransactionalID(transactionalID), kgo.TransactionTimeout(30*time.Second))
	cl, err := c.client(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	records := make([]*kgo.Record, 0, len(messages))
	for i := range messages {
		records = append(records, messages[i].toKgo())
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("write %d messages: %w", len(messages), err)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit %d messages: %w", len(messages), err)
	}
	return nil
}
