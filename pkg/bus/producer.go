package bus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

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
		kgo.RecordRetries(1<<31-1), // the broker may be away for hours: what waits is bounded, and never lost
	)
	cl, err := c.client(opts...)
	if err != nil {
		return nil, err
	}
	return &Producer{cl: cl}, nil
}

// Produce hands a message to the client. done, when not nil, is called once
// with the write's outcome. It blocks while the buffer is full.
func (p *Producer) Produce(ctx context.Context, m Message, done func(error)) {
	p.cl.Produce(ctx, m.toKgo(), func(_ *kgo.Record, err error) {
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

// Close gives the connections up; what is not flushed is lost.
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
