package capture

import (
	"context"
	"fmt"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
)

// writer is what Output needs of the bus.
type writer interface {
	Produce(ctx context.Context, m bus.Message, done func(error))
	Flush(ctx context.Context) error
}

// Naming is what every batch of a capture says of itself.
type Naming struct {
	Site     string
	Sensor   string
	Producer string // unique among all that ever wrote; for a file it follows from the content
	Domain   string // time domain
}

// The bounds of a batch. Encoded items are cut at batchBytes, below the bus's
// record bound; a batch that is not full leaves after batchAge.
const (
	batchBytes = 256 << 10
	batchAge   = 50 * time.Millisecond
)

// Output numbers items per partition and writes them in batches, in the order
// in which they are emitted. A full buffer blocks Emit: capture from files waits.
// It is used by one goroutine.
type Output struct {
	w      writer
	naming Naming
	parts  []part
	now    func() time.Time
	items  uint64
	err    error
}

type part struct {
	batch *proto.BatchWriter
	next  uint64 // number of the first item of the open batch
	since time.Time
}

// NewOutput writes to the given number of partitions.
func NewOutput(w writer, partitions int32, naming Naming) *Output {
	o := &Output{w: w, naming: naming, parts: make([]part, partitions), now: time.Now}
	for i := range o.parts {
		o.parts[i] = part{batch: proto.NewBatchWriter(), next: 1}
	}
	return o
}

// Emit takes an item; a heartbeat goes to every partition. The item is not kept.
func (o *Output) Emit(ctx context.Context, it *proto.Item) error {
	if o.err != nil {
		return o.err
	}
	o.items++
	if it.Heartbeat != nil {
		for i := range o.parts {
			o.add(ctx, int32(i), it)
		}
	} else {
		o.add(ctx, it.Lane.Partition(int32(len(o.parts))), it)
	}
	if o.items%64 == 0 {
		o.age(ctx)
	}
	return o.err
}

func (o *Output) add(ctx context.Context, i int32, it *proto.Item) {
	p := &o.parts[i]
	if err := p.batch.Add(it); err != nil {
		o.err = fmt.Errorf("encode item: %w", err)
		return
	}
	if p.batch.Len() == 1 {
		p.since = o.now()
	}
	if p.batch.Size() >= batchBytes {
		o.cut(ctx, i)
	}
}

// cut closes the open batch of a partition.
func (o *Output) cut(ctx context.Context, i int32) {
	p := &o.parts[i]
	n := p.batch.Len()
	if n == 0 {
		return
	}
	value, err := p.batch.Finish(&proto.Batch{
		Site: o.naming.Site, Sensor: o.naming.Sensor, Producer: o.naming.Producer, Domain: o.naming.Domain, FirstSeq: p.next,
	})
	if err != nil {
		o.err = fmt.Errorf("encode batch: %w", err)
		return
	}
	p.next += uint64(n)
	m := bus.Message{Topic: proto.TopicTraffic, Partition: i, Value: value}
	if o.naming.Domain == proto.LiveDomain {
		m.Sent = proto.TimeOf(o.now())
	}
	o.w.Produce(ctx, m, nil)
}

// age lets batches go that have waited long enough.
func (o *Output) age(ctx context.Context) {
	now := o.now()
	for i := range o.parts {
		if o.parts[i].batch.Len() > 0 && now.Sub(o.parts[i].since) >= batchAge {
			o.cut(ctx, int32(i))
		}
	}
}

// Tick is to be called now and then when nothing is emitted, so that items do
// not wait for the next one.
func (o *Output) Tick(ctx context.Context) { o.age(ctx) }

// Flush writes everything and waits until the broker has it.
func (o *Output) Flush(ctx context.Context) error {
	if o.err != nil {
		return o.err
	}
	for i := range o.parts {
		o.cut(ctx, int32(i))
	}
	if o.err != nil {
		return o.err
	}
	return o.w.Flush(ctx)
}

// Items is the number of items emitted.
func (o *Output) Items() uint64 { return o.items }
