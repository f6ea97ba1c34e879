package capture

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
)

type recorder struct {
	messages []bus.Message
	err      error
}

func (r *recorder) Produce(_ context.Context, m bus.Message, _ func(error)) {
	r.messages = append(r.messages, m)
}
func (r *recorder) Flush(context.Context) error { return r.err }

func (r *recorder) numbers(t *testing.T) map[int32][]uint64 {
	t.Helper()
	got := map[int32][]uint64{}
	for _, m := range r.messages {
		if len(m.Value) > bus.MaxBatchBytes {
			t.Errorf("a batch has %d bytes", len(m.Value))
		}
		var b proto.Batch
		if err := proto.Unmarshal(m.Value, &b); err != nil {
			t.Fatal(err)
		}
		if b.Site != "s" || b.Producer != "p" || b.Domain != "d" || b.Sensor != "tap" {
			t.Errorf("batch says %+v", b)
		}
		for i := range b.Items {
			got[m.Partition] = append(got[m.Partition], b.FirstSeq+uint64(i))
		}
	}
	return got
}

// Whatever the batches are cut by, the items of a partition carry the same
// numbers without a gap: that is what makes a second reading of a file harmless.
func TestOutputNumbers(t *testing.T) {
	run := func(step time.Duration) map[int32][]uint64 {
		r := &recorder{}
		o := NewOutput(r, 4, Naming{Site: "s", Sensor: "tap", Producer: "p", Domain: "d"})
		clock := time.Unix(0, 0)
		o.now = func() time.Time { clock = clock.Add(step); return clock }
		for i := range 5000 {
			it := proto.Item{Lane: proto.Lane(i * 31 % proto.Lanes), Flow: &proto.Flow{Part: uint32(i)}}
			if i%100 == 0 {
				it = proto.Item{Heartbeat: &proto.Heartbeat{Clock: proto.Time(i)}}
			}
			if err := o.Emit(t.Context(), &it); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r.numbers(t)
	}
	slow, fast := run(time.Second), run(0)
	total := 0
	for p, n := range slow {
		if !slices.Equal(n, fast[p]) {
			t.Errorf("partition %d: numbers depend on how batches were cut", p)
		}
		for i, v := range n {
			if v != uint64(i+1) {
				t.Fatalf("partition %d: item %d has number %d", p, i, v)
			}
		}
		total += len(n)
	}
	if want := 4950 + 50*4; total != want {
		t.Errorf("%d items were written, want %d (heartbeats go everywhere)", total, want)
	}
}

func TestOutputReportsFailure(t *testing.T) {
	r := &recorder{err: errors.New("away")}
	o := NewOutput(r, 1, Naming{})
	if err := o.Emit(t.Context(), &proto.Item{}); err == nil {
		t.Error("an item without content was taken")
	}
	o = NewOutput(r, 1, Naming{})
	if err := o.Flush(t.Context()); !errors.Is(err, r.err) {
		t.Errorf("Flush: %v", err)
	}
}
