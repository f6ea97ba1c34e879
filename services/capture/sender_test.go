package capture

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/spool"
	"github.com/wardflow/wardflow/proto"
)

func TestSenderDirect(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, dir, nil)
		b.send(1000)
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if repeated := b.complete(); repeated > 0 {
			t.Errorf("%d records twice", repeated)
		}
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		if st := b.Stats(); st.Direct != 1000 || st.Spooled != 0 || st.State != SendsDirect || st.WindowRecords != 0 || b.broker.clients != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// The broker is away for two minutes and comes back while records go on coming.
func TestSenderOutage(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, dir, roomy)
		b.send(100)
		b.broker.set(func(b *tape) { b.away = true })
		b.send(500)
		if st := b.Stats(); st.State != SendsDirect || st.Spooled != 0 {
			t.Errorf("half a second away: %+v", st)
		}
		b.length = 20
		for range 120 {
			b.send(200)
			pause(800 * time.Millisecond)
		}
		st := b.Stats()
		if st.State != SendsSpooling || st.Spool.Pending < 24000 || st.Since.IsZero() || st.OldestWait > 0 {
			t.Errorf("two minutes away: %+v", st)
		}
		b.broker.set(func(b *tape) { b.away = false })
		b.send(200)
		b.await("draining or done", func(s SenderStats) bool { return s.State != SendsSpooling })
		b.send(4000)
		b.await("direct", in(SendsDirect))
		b.send(100)
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.complete()
		b.noDrops()
		st = b.Stats()
		if st.Reconnects > 13 { // one for each 10 s
			t.Errorf("%d clients were replaced", st.Reconnects)
		}
		if st.Drained < 24000 || st.Direct < 200 || st.Spool.Pending != 0 || st.Spool.Segments != 0 || st.LastError != "" || !st.Since.IsZero() {
			t.Errorf("afterwards: %+v", st)
		}
		for _, r := range b.broker.got { // what is stale is said to have been sent just now
			if late := r.at.Sub(r.sent); late > 11*time.Second {
				t.Fatalf("partition %d number %d arrived %v after it was sent", r.partition, r.number, late)
			}
		}
	})
}

// The broker takes records and its answers are lost: they come twice, and count once.
func TestSenderInDoubt(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, dir, nil)
		b.send(100)
		b.broker.set(func(b *tape) { b.mute = true })
		for range 30 {
			b.send(20)
			pause(time.Second)
		}
		b.broker.set(func(b *tape) { b.mute = false })
		b.await("direct", in(SendsDirect))
		b.send(100)
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		if repeated := b.complete(); repeated == 0 {
			t.Error("nothing came twice: the case shows nothing")
		}
		b.noDrops()
	})
}

// A client that fails (a topic deleted, a user without the right) is replaced, and
// nothing is lost or out of order.
func TestSenderClientFails(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, dir, nil)
		for range 5 {
			b.send(100)
			b.broker.set(func(b *tape) { b.fails = errors.New("no such topic") })
			b.send(100)
			if st := b.Stats(); st.State == SendsDirect || !strings.Contains(st.LastError, "no such topic") {
				t.Errorf("%+v", st)
			}
			b.broker.set(func(b *tape) { b.fails = nil })
			b.await("direct", in(SendsDirect))
		}
		b.send(100)
		_ = b.stop()
		b.complete()
		b.noDrops()
	})
}

// What a process leaves in the spool the next one sends before its own.
func TestSenderDrainsWhatWasLeft(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		first := newBed(t, dir, nil)
		first.broker.set(func(b *tape) { b.away = true })
		first.send(300)
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		first.Produce(t.Context(), bus.Message{Topic: proto.TopicTraffic, Value: make([]byte, 9)}, func(err error) {
			if !errors.Is(err, ErrSenderEnded) {
				t.Errorf("after the end: %v", err)
			}
		})
		if st := first.Stats(); st.Spooled != 300 || st.Dropped[DropEnded] != 1 {
			t.Errorf("%+v", st)
		}
		second := newBedAt(t, first.broker, dir, nil)
		second.send(100)
		first.broker.set(func(b *tape) { b.away = false })
		second.await("direct", in(SendsDirect))
		if err := second.stop(); err != nil {
			t.Fatal(err)
		}
		first.complete()
		second.complete()
		second.noDrops()
		for i, r := range first.broker.got {
			if (r.producer == first.name) != (i < 300) {
				t.Fatalf("record %d is of producer %d", i, r.producer)
			}
		}
	})
}

// Another count of partitions than the one that the spool was written for.
func TestSenderRefusesOtherLayout(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		first := newBed(t, dir, nil)
		first.broker.set(func(b *tape) { b.away = true })
		first.send(8)
		_ = first.stop()
		other := newBedAt(t, first.broker, dir, func(c *SenderConfig) { c.Partitions = 2 * lanes })
		synctest.Wait()
		if err := other.stop(); err == nil || !strings.Contains(err.Error(), "of 4, and wardflow.traffic has 8 partitions") || !strings.Contains(err.Error(), dir) {
			t.Fatalf("Run: %v", err)
		}
		again := newBedAt(t, first.broker, dir, nil)
		first.broker.set(func(b *tape) { b.away = false })
		again.await("drained", func(s SenderStats) bool { return s.State == SendsDirect && s.Drained == 8 })
		first.complete()
	})
}

// A record that the broker will never take is lost alone.
func TestSenderTooLarge(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, dir, nil)
		b.broker.set(func(b *tape) { b.refuses = 1000 })
		b.send(100)
		told := 0
		large := func(n int) {
			b.Produce(t.Context(), bus.Message{Topic: proto.TopicTraffic, Partition: 1, Value: make([]byte, n)}, func(err error) {
				if err != nil && errors.Is(err, bus.ErrTooLarge) {
					told++
				}
			})
		}
		large(2000)
		b.send(40)
		large(2000)
		b.send(100)
		large(bus.MaxRecordBytes)
		b.await("direct", func(s SenderStats) bool { return s.State == SendsDirect && s.Dropped[DropTooLarge] == 3 })
		b.send(100)
		_ = b.stop()
		b.complete()
		if st := b.Stats(); st.Dropped[DropTooLarge] != 3 || told == 0 || st.DroppedBytes[DropTooLarge] != 4000+bus.MaxRecordBytes {
			t.Errorf("%d told; %+v", told, st)
		}
		for _, m := range []bus.Message{{Topic: "other"}, {Topic: proto.TopicTraffic, Partition: lanes}, {Topic: proto.TopicTraffic, Key: []byte("k")}} {
			b.Produce(t.Context(), m, func(err error) {
				if err == nil {
					t.Errorf("%+v was taken", m)
				}
			})
		}
	})
}

// A spool at its bound loses the oldest, and says how many.
func TestSenderSpoolAtItsBound(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, dir, nil)
		b.send(10)
		b.broker.set(func(b *tape) { b.away = true })
		b.length = 2000
		b.send(10_000)
		b.length = 100
		lost := b.Stats().Dropped[spool.DropBound]
		if st := b.Stats(); lost < 8000 || st.Spool.Bytes > 1<<20 {
			t.Errorf("%+v", st)
		}
		b.broker.set(func(b *tape) { b.away = false })
		b.await("direct", in(SendsDirect))
		b.send(8)
		_ = b.stop()
		lost = b.Stats().Dropped[spool.DropBound]
		got, _ := b.broker.accepted()
		have := 0
		for _, numbers := range got {
			have += len(numbers)
			if last := numbers[len(numbers)-1]; last != 2504 && last != 2505 {
				t.Errorf("ends at %d", last)
			}
		}
		// What was under way when the broker went is in the spool too and may be dropped
		// there although it arrives later.
		if have+int(lost) < 10_018 {
			t.Errorf("%d arrived and %d are said to be lost, of 10018", have, lost)
		}
	})
}

// A folder that cannot be written to: the sensor works while the broker does, keeps
// what memory holds while it is away, counts the rest, and uses the folder when it can.
func TestSenderWithoutSpool(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, dir, roomy)
		b.send(100)
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := b.Stats(); st.State != SendsDirect || !strings.Contains(st.LastError, dir) {
			t.Errorf("%+v", st)
		}
		b.broker.set(func(b *tape) { b.away = true })
		b.send(5000) // 500 kB, and memory takes 96 kB
		lost := b.Stats().Dropped[DropNoSpool]
		if lost < 3000 || lost > 4500 {
			t.Errorf("lost %d", lost)
		}
		b.broker.set(func(b *tape) { b.away = false })
		b.await("direct", func(s SenderStats) bool { return s.State == SendsDirect && s.QueueRecords == 0 })
		b.send(100)
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, _ := b.broker.accepted()
		have := 0
		for _, numbers := range got {
			have += len(numbers)
		}
		if lost = b.Stats().Dropped[DropNoSpool]; have+int(lost) != 5200 {
			t.Errorf("%d arrived, %d counted as lost", have, lost)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		before := b.Stats()
		b.broker.set(func(b *tape) { b.away = true })
		b.send(20_000)
		b.broker.set(func(b *tape) { b.away = false })
		b.await("direct", in(SendsDirect))
		_ = b.stop()
		if st := b.Stats(); st.Spooled < before.Spooled+4000 || st.Dropped[spool.DropBound] > 0 {
			t.Errorf("the folder was not used when it could be: %+v", st)
		}
	})
}

// A caller waits while the queue is full, no longer than its context.
func TestSenderQueueIsBounded(t *testing.T) {
	s := NewSender(SenderConfig{Partitions: 1, Queue: 1000})
	m := bus.Message{Topic: proto.TopicTraffic, Value: make([]byte, 600)}
	s.Produce(t.Context(), m, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	s.Produce(ctx, m, nil)
	if st := s.Stats(); st.Dropped[DropEnded] != 1 || s.queue.len() != 1 {
		t.Errorf("%+v", st)
	}
	if err := s.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Flush: %v", err)
	}
}

// A topic that takes every record, and not what the client makes one batch of: all
// arrive, one by one, and not with one new client for each.
func TestSenderBatchesTooLarge(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, dir, roomy)
		b.broker.set(func(b *tape) { b.away, b.lazy, b.batches = true, true, 3 })
		b.length = 20
		b.send(2000)
		b.broker.set(func(b *tape) { b.away = false })
		b.await("direct", in(SendsDirect))
		_ = b.stop()
		b.complete()
		b.noDrops()
		if st := b.Stats(); st.Reconnects == 0 || st.Reconnects > 20 {
			t.Errorf("%d clients were replaced", st.Reconnects)
		}
	})
}

// Answers of a client that was thrown away mean nothing: what it had is on its way
// a second time.
func TestSenderLateAnswers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // without a spool, so that the same records are sent again
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, dir, nil)
		b.send(1)
		b.broker.set(func(b *tape) { b.mute, b.late = true, 11*time.Second })
		b.send(100)
		pause(b.cfg.Stall)
		b.broker.set(func(b *tape) { b.away, b.mute = true, false })
		pause(2 * time.Second) // a new client has the first one, and the answers come
		if st := b.Stats(); st.Direct != 1 || st.WindowRecords != 1 || st.QueueRecords != 99 {
			t.Errorf("%+v", st)
		}
		b.broker.set(func(b *tape) { b.away = false })
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = b.stop()
		if repeated := b.complete(); repeated != 100 || b.Stats().Direct != 101 {
			t.Errorf("%d came twice; %+v", repeated, b.Stats())
		}
		b.noDrops()
	})
}
