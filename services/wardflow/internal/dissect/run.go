package dissect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

// Run dissects. A damaged file is noted and the rest goes on; the error wraps
// ErrNoInput when there was no rest.
func Run(ctx context.Context, o Options) (*Result, error) {
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
	if o.Capture.Sensor == "" {
		o.Capture.Sensor = DefaultSensor
	}
	r := &runner{o: o, result: &Result{}}
	var err error
	if o.Each {
		err = r.each(ctx)
	} else {
		err = r.run(ctx, o.Files, o.Out)
	}
	if err != nil {
		return nil, err
	}
	if r.result.Runs == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoInput, strings.Join(r.reasons, "; "))
	}
	return r.result, nil
}

type runner struct {
	o       Options
	result  *Result
	reasons []string // why files could not be opened, a few of them
	done    int      // files
	told    time.Time
}

const someReasons = 5

// domain is the time domain of a run.
const domain = "file"

// each makes a run of every file, in a folder that is named as the file below
// what all of them have in common.
func (r *runner) each(ctx context.Context) error {
	for i, name := range names(r.o.Files) {
		if err := r.run(ctx, r.o.Files[i:i+1], filepath.Join(r.o.Out, name)); err != nil {
			return err
		}
		r.done++
	}
	return nil
}

// names are the paths of files below the folder that all of them are in. A file
// that is named twice gets a second name.
func names(files []string) []string {
	var common []string
	parts := make([][]string, len(files))
	for i, f := range files {
		abs, err := filepath.Abs(f)
		if err != nil {
			abs = f
		}
		parts[i] = strings.Split(filepath.ToSlash(abs), "/")
		folder := parts[i][:len(parts[i])-1]
		if i == 0 {
			common = folder
		}
		n := 0
		for n < len(common) && n < len(folder) && common[n] == folder[n] {
			n++
		}
		common = common[:n]
	}
	seen := map[string]int{}
	out := make([]string, len(files))
	for i, p := range parts {
		out[i] = filepath.Join(p[len(common):]...)
		if seen[out[i]]++; seen[out[i]] > 1 {
			out[i] = fmt.Sprintf("%s.%d", out[i], seen[out[i]])
		}
	}
	return out
}

// run makes one run of files and writes it into dir.
func (r *runner) run(ctx context.Context, files []string, dir string) error {
	var readers []*capfile.Reader
	defer func() {
		for _, c := range readers {
			_ = c.Close()
		}
	}()
	damaged := uint64(0)
	for _, path := range files {
		c, err := capfile.Open(path)
		if err != nil {
			damaged++
			r.damaged(err)
			if len(r.reasons) < someReasons {
				r.reasons = append(r.reasons, err.Error())
			}
			continue
		}
		readers = append(readers, c)
	}
	if len(readers) == 0 {
		return nil
	}
	out, err := newOutput(dir, r.o.Format, proto.Batch{
		Version: proto.SchemaTraffic, Site: r.o.Capture.Site, Sensor: r.o.Capture.Sensor, Producer: domain, Domain: domain,
	})
	if err != nil {
		return err
	}
	defer out.abandon()
	cfg := r.o.Capture
	cfg.Emit, cfg.Reuse = out.item, true
	p := capture.New(cfg)
	in := source{readers: readers}
	if err := r.packets(ctx, &in, p, out); err != nil {
		return err
	}
	p.End()
	for _, err := range in.damaged {
		damaged++
		r.damaged(err)
	}
	sum := Summary{Summary: p.Summary(), FlowParts: out.parts}
	sum.Drops["damaged_file"] = damaged
	if err := out.close(&sum); err != nil {
		return err
	}
	r.result.Runs++
	r.result.Packets += sum.Packets
	r.result.Bytes += sum.Bytes
	r.result.Flows += sum.Flows
	r.result.Facts += sum.Observations
	return nil
}

func (r *runner) damaged(err error) {
	r.result.Damaged++
	r.o.Note("%v", err)
}

// packets gives every packet to the Processor.
func (r *runner) packets(ctx context.Context, in *source, p *capture.Processor, out *output) error {
	var pkt capfile.Packet
	for n := uint64(1); ; n++ {
		err := in.next(&pkt)
		if errors.Is(err, io.EOF) {
			return out.err
		}
		if err != nil {
			return fmt.Errorf("read captures: %w", err)
		}
		p.Packet(pkt.LinkType, pkt.Time, pkt.Data, pkt.WireLen)
		if n%1024 != 0 {
			continue
		}
		if out.err != nil {
			return out.err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("dissect: %w", err)
		}
		r.tell(in, n, pkt.Time)
	}
}

func (r *runner) tell(in *source, packets uint64, clock proto.Time) {
	if r.o.Progress == nil || time.Since(r.told) < 500*time.Millisecond {
		return
	}
	r.told = time.Now()
	p := Progress{Files: r.done, Packets: r.result.Packets + packets, Clock: clock}
	if !r.o.Each {
		p.Read, p.Size = capfile.Position(in.readers...)
	}
	r.o.Progress(p)
}

// source gives the packets of one capture as they stand, of several by time.
type source struct {
	readers []*capfile.Reader
	merge   *capfile.Merge
	damaged []error
}

func (s *source) next(p *capfile.Packet) error {
	if len(s.readers) > 1 {
		if s.merge == nil {
			s.merge = capfile.NewMerge(s.readers...)
		}
		_, err := s.merge.Next(p)
		if err != nil {
			s.damaged = s.merge.Errors()
		}
		return err
	}
	err := s.readers[0].Next(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.damaged = append(s.damaged, err)
		return io.EOF
	}
	return err
}
