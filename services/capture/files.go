package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/proto"
)

// FilesConfig says which capture files are read, and into what.
type FilesConfig struct {
	Paths     []string
	Processor Config  // how packets become items
	Speed     float64 // event time per wall time; 0 reads as fast as the broker takes it
	Bus       bus.Config
	Log       *slog.Logger
	// Progress is called about twice a second and at the end; it may be nil.
	Progress func(Progress)
}

// Progress is how far the reading of files has come.
type Progress struct {
	Packets uint64
	Bytes   uint64 // on the wire
	Items   uint64
	Clock   proto.Time // event time
	Read    int64      // bytes of the files so far
	Size    int64      // of the files; 0 when it is not known
	Done    bool
	Summary Summary // complete when Done
}

// maxBuffered bounds the bytes that wait for the broker before reading waits.
const maxBuffered = 64 << 20

// ReadFiles captures from files into wardflow.traffic, and returns when the
// broker has everything. A file that is damaged gives what is readable; that and
// files that cannot be opened are in the returned error, as DamagedFiles, after
// the rest has been read.
func ReadFiles(ctx context.Context, cfg FilesConfig) error {
	producer, err := capfile.Producer(cfg.Paths...)
	if err != nil {
		return err
	}
	var readers []*capfile.Reader
	var damaged DamagedFiles
	defer func() {
		for _, r := range readers {
			_ = r.Close()
		}
	}()
	for _, path := range cfg.Paths {
		r, err := capfile.Open(path)
		if err != nil {
			damaged = append(damaged, err)
			continue
		}
		readers = append(readers, r)
	}
	if len(readers) == 0 {
		return damaged
	}
	w, err := bus.NewProducer(cfg.Bus, maxBuffered)
	if err != nil {
		return err
	}
	defer w.Close()
	name := "file:" + cfg.Processor.Site + "/" + cfg.Processor.Sensor + "/" + producer
	out := NewOutput(w, cfg.Bus.Partitions, Naming{Site: cfg.Processor.Site, Sensor: cfg.Processor.Sensor, Producer: name, Domain: name})
	f := &fileRun{cfg: cfg, out: out, readers: readers, merge: capfile.NewMerge(readers...)}
	if err := f.run(ctx); err != nil {
		return err
	}
	damaged = append(damaged, f.merge.Errors()...)
	if len(damaged) > 0 {
		return damaged
	}
	return nil
}

// DamagedFiles are capture files that could not be read, or not to their end.
type DamagedFiles []error

// Error lists every file's problem.
func (d DamagedFiles) Error() string { return errors.Join(d...).Error() }

type fileRun struct {
	cfg     FilesConfig
	out     *Output
	readers []*capfile.Reader
	merge   *capfile.Merge

	progress Progress
	first    proto.Time
	begun    time.Time
	told     time.Time
	failed   error
}

func (f *fileRun) run(ctx context.Context) error {
	c := f.cfg.Processor
	c.Emit = func(it proto.Item) {
		if f.failed == nil {
			f.failed = f.out.Emit(ctx, &it)
		}
	}
	p := New(c)
	f.begun = time.Now()
	var pkt capfile.Packet
	for f.failed == nil {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("capture from files: %w", err)
		}
		_, err := f.merge.Next(&pkt)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read captures: %w", err)
		}
		f.pace(ctx, pkt.Time)
		p.Packet(pkt.LinkType, pkt.Time, pkt.Data, pkt.WireLen)
		f.tell(&pkt)
	}
	if f.failed != nil {
		return f.failed
	}
	p.End()
	if f.failed != nil {
		return f.failed
	}
	if err := f.out.Flush(ctx); err != nil {
		return err
	}
	f.progress.Read, f.progress.Size = capfile.Position(f.readers...)
	f.progress.Items, f.progress.Done, f.progress.Summary = f.out.Items(), true, p.Summary()
	if f.cfg.Progress != nil {
		f.cfg.Progress(f.progress)
	}
	return nil
}

// pace waits until it is time for a packet.
func (f *fileRun) pace(ctx context.Context, at proto.Time) {
	if f.first == 0 {
		f.first = at
	}
	if f.cfg.Speed <= 0 {
		return
	}
	due := f.begun.Add(time.Duration(float64(at.Sub(f.first)) / f.cfg.Speed))
	for wait := time.Until(due); wait > 0 && ctx.Err() == nil; wait = time.Until(due) {
		f.out.Tick(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(min(wait, batchAge)):
		}
	}
}

func (f *fileRun) tell(pkt *capfile.Packet) {
	f.progress.Packets++
	f.progress.Bytes += uint64(pkt.WireLen)
	f.progress.Clock = pkt.Time
	if f.cfg.Progress == nil || f.progress.Packets%256 != 0 || time.Since(f.told) < 500*time.Millisecond {
		return
	}
	f.told = time.Now()
	f.progress.Items = f.out.Items()
	f.progress.Read, f.progress.Size = capfile.Position(f.readers...)
	f.cfg.Progress(f.progress)
}
