package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Reader reads partitions from an offset to the end that they have at the call.
type Reader struct {
	cl       *kgo.Client
	adm      *kadm.Client
	patience time.Duration
}

// readPatience is how long a Reader waits for the next record of what is there. An
// open transaction whose writer is gone ends within its timeout (30 s) and the time
// in which brokers look for such ones (10 s).
const readPatience = time.Minute

// NewReader makes a reader of committed records.
func NewReader(c Config) (*Reader, error) {
	cl, err := c.client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	return &Reader{cl: cl, adm: kadm.NewClient(cl), patience: readPatience}, nil
}

// Close gives the connections up.
func (r *Reader) Close() { r.cl.Close() }

// Read calls f for every committed record of a partition from offset on, up to
// the high watermark seen at the call, and gives that; it waits for transactions
// that are open before it, but not for ever: without a record for a minute it is an
// error, and whoever reads begins anew. An offset that retention has overtaken
// starts at what is left.
func (r *Reader) Read(ctx context.Context, topic string, partition int32, offset int64, f func(Record) error) (int64, error) {
	// The high watermark, not the last stable offset: behind a killed writer's open
	// transaction lie commits of whoever took over, and a reader that stopped before
	// them would take an old state for the latest. The open transaction ends when its
	// writer starts again, or by its timeout.
	ends, err := r.adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("list end of %s: %w", topic, err)
	}
	e, ok := ends.Lookup(topic, partition)
	if !ok {
		return 0, fmt.Errorf("list end of %s/%d: there is no such partition", topic, partition)
	}
	if e.Err != nil {
		return 0, fmt.Errorf("list end of %s/%d: %w", topic, partition, e.Err)
	}
	starts, err := r.adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("list start of %s: %w", topic, err)
	}
	if s, ok := starts.Lookup(topic, partition); ok && s.Err == nil {
		offset = max(offset, s.Offset)
	}
	if offset >= e.Offset {
		return e.Offset, nil
	}
	r.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(offset)}})
	defer r.cl.RemoveConsumePartitions(map[string][]int32{topic: {partition}})
	came := time.Now()
	for next := offset; next < e.Offset; {
		pctx, cancel := context.WithDeadline(ctx, came.Add(r.patience))
		fetches := r.cl.PollFetches(pctx)
		cancel()
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if fetches.NumRecords() == 0 && time.Since(came) >= r.patience {
			return 0, fmt.Errorf("read %s/%d: nothing came for %s from offset %d on, and it ends at %d: a transaction is open there, or its broker does not answer", topic, partition, r.patience, next, e.Offset)
		}
		for _, fe := range fetches.Errors() {
			if fe.Topic == topic && fe.Partition == partition {
				return 0, fmt.Errorf("read %s/%d: %w", topic, partition, fe.Err)
			}
		}
		var ferr error
		fetches.EachRecord(func(rec *kgo.Record) {
			if ferr != nil || rec.Topic != topic || rec.Partition != partition || rec.Offset >= e.Offset {
				return
			}
			next, came = rec.Offset+1, time.Now()
			ferr = f(fromKgo(rec))
		})
		if ferr != nil {
			return 0, ferr
		}
	}
	return e.Offset, nil
}
