package capture

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wardflow/wardflow/pkg/spool"
)

// faulty is a disk that fails when it is told to.
type faulty struct {
	spool.FS

	write, read atomic.Pointer[error]
	short       atomic.Bool
	syncs       atomic.Int32
}

type faultyFile struct {
	spool.File

	of *faulty
}

func (f *faulty) Create(name string) (spool.File, error) {
	if err := f.write.Load(); err != nil {
		return nil, *err
	}
	file, err := f.FS.Create(name)
	return faultyFile{file, f}, err
}

func (f *faulty) Open(name string) (spool.File, error) {
	file, err := f.FS.Open(name)
	return faultyFile{file, f}, err
}

// WriteAt fails, or takes half and says so, as a file system with little room does.
func (f faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.of.write.Load(); err != nil {
		return 0, *err
	}
	if f.of.short.Load() {
		return f.File.WriteAt(b[:len(b)/2], off)
	}
	return f.File.WriteAt(b, off)
}

func (f faultyFile) Sync() error {
	f.of.syncs.Add(1)
	return f.File.Sync()
}

func (f faultyFile) ReadAt(b []byte, off int64) (int, error) {
	if err := f.of.read.Load(); err != nil {
		return 0, *err
	}
	return f.File.ReadAt(b, off)
}

// While the disk is in trouble during an outage, memory keeps the newest; what it
// cannot keep is dropped oldest first and counted by the disk's reason, and all
// else arrives in order.
func TestSenderDiskFaults(t *testing.T) {
	full, broken := error(syscall.ENOSPC), errors.New("input/output error")
	for _, c := range []struct {
		name   string
		reason spool.Reason
		set    func(*faulty)
	}{
		{"disk full", spool.DropDiskFull, func(f *faulty) { f.write.Store(&full) }},
		{"write error", spool.DropWrite, func(f *faulty) { f.write.Store(&broken) }},
		{"short write", spool.DropWrite, func(f *faulty) { f.short.Store(true) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				disk := &faulty{FS: spool.OS()}
				b := newBed(t, dir, func(c *SenderConfig) { roomy(c); c.Spool.FS = disk })
				b.broker.set(func(b *tape) { b.away = true })
				b.send(4000)
				c.set(disk)
				b.send(400) // 40 kB fit
				if st := b.Stats(); st.Dropped[c.reason] != 0 || st.QueueRecords < 290 || st.LastError == "" {
					t.Errorf("a little while: %+v", st)
				}
				b.send(3000)
				lost := b.Stats().Dropped[c.reason]
				if lost < 2000 || lost > 2800 {
					t.Errorf("lost %d", lost)
				}
				disk.write.Store(nil)
				disk.short.Store(false)
				pause(2 * time.Second)
				b.send(1000)
				if st := b.Stats(); st.QueueRecords > 2 || st.Dropped[c.reason] != lost {
					t.Errorf("the disk is well again: %+v", st)
				}
				b.broker.set(func(b *tape) { b.away = false })
				b.await("direct", in(SendsDirect))
				_ = b.stop()
				got, _ := b.broker.accepted()
				have := 0
				for _, numbers := range got {
					have += len(numbers)
				}
				if have+int(lost) != 8400 {
					t.Errorf("%d arrived and %d are counted as lost, of 8400", have, lost)
				}
				if st := b.Stats(); st.Dropped[c.reason] != lost {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// A disk that cannot be read for a moment loses nothing; one that cannot be read
// at all loses what is on it, counted, and what comes then arrives.
func TestSenderReadFaults(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{FS: spool.OS()}
		b := newBed(t, dir, func(c *SenderConfig) { roomy(c); c.Spool.FS = disk })
		b.broker.set(func(b *tape) { b.away = true })
		b.send(4000)
		broken := errors.New("input/output error")
		disk.read.Store(&broken)
		pause(b.cfg.Stall) // it must read again for a new client
		b.broker.set(func(b *tape) { b.away = false })
		b.await("direct", in(SendsDirect))
		disk.read.Store(nil)
		b.send(400)
		_ = b.stop()
		got, _ := b.broker.accepted()
		have := 0
		for p, numbers := range got {
			have += len(numbers)
			if last := numbers[len(numbers)-1]; last != 1100 {
				t.Errorf("%s ends at %d", p, last)
			}
		}
		if lost := b.Stats().Dropped[spool.DropDamaged]; lost == 0 || have+int(lost) < 4400 {
			t.Errorf("%d arrived, %d lost", have, lost)
		}
	})
}

// A spool left by another process, in a folder that can be used only later, is
// drained before what this one has under way.
func TestSenderOpensLate(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		first := newBed(t, dir, nil)
		first.broker.set(func(b *tape) { b.away = true })
		first.send(100)
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		other, err := spool.Open(spool.Config{Dir: dir}) // somebody holds the folder
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		b := newBedAt(t, first.broker, dir, nil)
		b.send(400)
		if st := b.Stats(); !strings.Contains(st.LastError, "in use") || st.QueueRecords == 0 {
			t.Errorf("%+v", st)
		}
		b.broker.set(func(b *tape) { b.away = false })
		b.await("direct", func(s SenderStats) bool { return s.Direct > 300 })
		pause(time.Until(begun.Add(2*openRetry - 500*time.Millisecond)))
		b.broker.set(func(b *tape) { b.away = true })
		before := b.broker.count()
		b.send(100)
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		pause(time.Second) // it is opened, with records on their way
		if st := b.Stats(); st.Spool.Pending == 0 {
			t.Fatalf("%+v", st)
		}
		b.broker.set(func(b *tape) { b.away = false })
		b.await("drained", func(s SenderStats) bool { return s.State == SendsDirect && s.Drained >= 200 })
		_ = b.stop()
		first.complete()
		b.complete()
		b.noDrops()
		for i, r := range b.broker.got[before:] {
			if (r.producer == first.name) != (i < 100) {
				t.Fatalf("record %d is of producer %d: what is under way went before what an earlier process left", i, r.producer)
			}
		}
	})
}

// Under the default policy what a burst left unsynced is synced within its second.
func TestSenderSyncs(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{FS: spool.OS()}
		b := newBed(t, dir, func(c *SenderConfig) { c.Spool.FS = disk })
		b.broker.set(func(b *tape) { b.away = true })
		b.send(10)
		pause(b.cfg.Wait + 200*time.Millisecond)
		before, st := disk.syncs.Load(), b.Stats()
		pause(time.Second)
		if st.Spooled != 10 || disk.syncs.Load() == before {
			t.Errorf("%d syncs before and %d after a second; %+v", before, disk.syncs.Load(), st)
		}
	})
}
