package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

// domain is the time domain of all files of a run: they are merged by time.
const domain = "file"

// Run replays. Files that are damaged are in the result, and the rest goes on;
// the error wraps ErrNoInput when there was no rest.
func Run(ctx context.Context, o Options) (*Result, error) {
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	r := &runner{o: o, result: &Result{}, sensors: map[string]*sensor{}}
	defer r.close()
	if err := r.open(); err != nil {
		return nil, err
	}
	out, err := newCollector(o)
	if err != nil {
		return nil, err
	}
	defer out.close()
	r.out = out
	if r.local, err = stream.NewLocal(out.emitted, o.Folds...); err != nil {
		return nil, fmt.Errorf("open folds: %w", err)
	}
	if err := r.packets(ctx); err != nil {
		return nil, err
	}
	r.progress.Writing = true
	r.tell(true)
	r.summarize()
	if err := out.finish(ctx, r.result); err != nil {
		return nil, err
	}
	return r.result, nil
}

type runner struct {
	o       Options
	result  *Result
	readers []*capfile.Reader
	learn   *capfile.Merge // the baseline
	main    *capfile.Merge
	of      [2][]*sensor // of the readers of learn and of main, by index

	sensors map[string]*sensor
	order   []*sensor // by name

	local *stream.Local
	out   *collector
	err   error

	first, last proto.Time
	begun       bool
	progress    Progress
	told        time.Time
}

// sensor is one sensor's capture.
type sensor struct {
	name  string
	batch proto.Batch // the naming fields
	p     *capture.Processor
	beat  proto.Time
}

func (r *runner) open() error {
	var merges [2]*capfile.Merge
	var reasons []string
	opened := 0
	for i, files := range [2][]File{r.o.Baseline, r.o.Files} {
		var readers []*capfile.Reader
		for _, f := range files {
			c, err := capfile.Open(f.Path)
			if err != nil {
				r.damaged(err)
				reasons = append(reasons, err.Error())
				continue
			}
			r.readers = append(r.readers, c)
			readers = append(readers, c)
			r.of[i] = append(r.of[i], r.sensorOf(f.Sensor))
			if i == 1 {
				opened++
			}
		}
		merges[i] = capfile.NewMerge(readers...)
	}
	if opened == 0 {
		if len(reasons) == 0 {
			reasons = []string{"none was named"}
		}
		return fmt.Errorf("%w: %s", ErrNoInput, strings.Join(reasons, "; "))
	}
	r.learn, r.main = merges[0], merges[1]
	for _, s := range r.sensors {
		r.order = append(r.order, s)
	}
	slices.SortFunc(r.order, func(a, b *sensor) int { return strings.Compare(a.name, b.name) })
	return nil
}

func (r *runner) damaged(err error) {
	r.result.Damaged = append(r.result.Damaged, err)
	r.o.Note("%v", err)
}

func (r *runner) sensorOf(name string) *sensor {
	if name == "" {
		name = DefaultSensor
	}
	if s := r.sensors[name]; s != nil {
		return s
	}
	s := &sensor{name: name, batch: proto.Batch{Site: r.o.Site, Sensor: name, Producer: domain, Domain: domain}}
	c := r.o.Capture
	c.Site, c.Sensor = r.o.Site, name
	if len(r.o.Home) > 0 {
		c.Home = r.o.Home
	}
	if len(r.o.Key) > 0 {
		c.Key = r.o.Key
	}
	c.Emit = func(it proto.Item) { r.item(s, it) }
	s.p = capture.New(c)
	r.sensors[name] = s
	return s
}

// item is kept, then applied by the folds, with all that follows from it.
func (r *runner) item(s *sensor, it proto.Item) {
	if r.err != nil {
		return
	}
	if it.Heartbeat != nil {
		s.beat = max(s.beat, it.Heartbeat.Clock)
		if r.err = r.edits(it.Heartbeat.Clock); r.err != nil {
			return
		}
	}
	it = r.local.Mark(&s.batch, it)
	if r.err = r.out.item(s.name, &it); r.err != nil {
		return
	}
	if err := r.local.Item(&s.batch, it); err != nil {
		r.err = fmt.Errorf("apply: %w", err)
		return
	}
	r.err = r.out.err
}

// packets reads the baseline, then the files, then ends event time.
func (r *runner) packets(ctx context.Context) error {
	learn := r.o.Learn
	if len(r.of[0]) > 0 {
		learn = math.MaxInt64 // for as long as the baseline lasts
	}
	for _, c := range r.o.Controls {
		if err := r.local.Control(c); err != nil {
			return fmt.Errorf("apply context: %w", err)
		}
	}
	if err := r.control(learn); err != nil {
		return err
	}
	if len(r.of[0]) > 0 {
		r.out.mute = true
		if err := r.read(ctx, r.learn, r.of[0], nil); err != nil {
			return err
		}
	}
	// Learning ends with the first packet that is no baseline, before it is seen.
	begin := func(t proto.Time) error {
		r.out.mute = false
		if len(r.of[0]) == 0 {
			return nil
		}
		return r.control(max(t, r.o.Learn))
	}
	if err := r.read(ctx, r.main, r.of[1], begin); err != nil {
		return err
	}
	for _, m := range []*capfile.Merge{r.learn, r.main} {
		for _, err := range m.Errors() {
			r.damaged(err)
		}
	}
	return r.end()
}

// control puts the policies in force; learning covers everything before learn, 0
// leaves it to the policy.
func (r *runner) control(learn proto.Time) error {
	own := proto.Policy{Site: r.o.Site}
	var list []proto.Policy
	for _, p := range r.o.Policies {
		if p.Site == r.o.Site {
			own = p
			continue
		}
		list = append(list, p)
	}
	if learn != 0 {
		own.LearningUntil = learn - 1 // the last moment that is learned from
	}
	r.out.learned = own.LearningUntil
	if learn != 0 || len(list) < len(r.o.Policies) {
		list = append(list, own)
	}
	for i := range list {
		if err := r.local.Control(&proto.Control{Kind: "policy", Policy: &list[i]}); err != nil {
			return fmt.Errorf("apply policy: %w", err)
		}
	}
	return nil
}

func (r *runner) read(ctx context.Context, m *capfile.Merge, of []*sensor, begin func(proto.Time) error) error {
	var pkt capfile.Packet
	for {
		i, err := m.Next(&pkt)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read captures: %w", err)
		}
		if begin != nil {
			if err := begin(pkt.Time); err != nil {
				return err
			}
			begin = nil
		}
		r.count(&pkt)
		r.together(of[i], pkt.Time)
		of[i].p.Packet(pkt.LinkType, pkt.Time, pkt.Data, pkt.WireLen)
		if r.err != nil {
			return r.err
		}
		if r.progress.Packets%1024 == 0 {
			r.tell(false)
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("replay: %w", err)
			}
		}
	}
}

// together moves the other sensors' event time along, a second at a time: the
// files are one time domain, whose watermark is the minimum over its sensors.
func (r *runner) together(s *sensor, t proto.Time) {
	if len(r.order) == 1 {
		return
	}
	for _, o := range r.order {
		if o != s && t.Sub(o.beat) >= time.Second {
			o.p.Advance(t)
		}
	}
}

func (r *runner) count(pkt *capfile.Packet) {
	if !r.begun {
		r.begun, r.first, r.last = true, pkt.Time, pkt.Time
	}
	r.first, r.last = min(r.first, pkt.Time), max(r.last, pkt.Time)
	r.progress.Packets++
	r.progress.Bytes += uint64(pkt.WireLen)
	r.progress.Clock = pkt.Time
}

func (r *runner) tell(now bool) {
	if r.o.Progress == nil || (!now && time.Since(r.told) < 500*time.Millisecond) {
		return
	}
	r.told = time.Now()
	r.progress.Read, r.progress.Size = capfile.Position(r.readers...)
	r.o.Progress(r.progress)
}

// end ends every sensor at the same event time.
func (r *runner) end() error {
	if !r.begun {
		return r.err
	}
	at := r.last
	if r.o.Until > at {
		at = r.o.Until
	} else if r.o.Until != 0 {
		r.o.Note("the captures go on to %s, beyond --until", r.last)
	}
	r.pass(at)
	for _, s := range r.order {
		s.p.End()
	}
	if r.err != nil {
		return r.err
	}
	return r.edits(math.MaxInt64)
}

// edits applies what people had decided by t.
func (r *runner) edits(t proto.Time) error {
	for ; len(r.o.Edits) > 0 && r.o.Edits[0].Time <= t; r.o.Edits = r.o.Edits[1:] {
		if err := r.local.Edit(r.o.Edits[0]); err != nil {
			return fmt.Errorf("apply edit %s: %w", r.o.Edits[0].EditID, err)
		}
	}
	return r.out.err
}

// pass lets event time go on to t in small steps, as a sensor that listens and
// hears nothing would: a leap would say that nobody was listening.
func (r *runner) pass(t proto.Time) {
	step := max(time.Minute, t.Sub(r.last)/100_000) // so that a century takes no longer than a season
	for at := r.last.Add(step); ; at = at.Add(step) {
		at = min(at, t)
		for _, s := range r.order {
			s.p.Advance(at)
		}
		if at == t {
			return
		}
	}
}

func (r *runner) summarize() {
	sum := &r.result.Summary
	sum.Drops, sum.Dissect = map[string]uint64{}, map[string]uint64{}
	for _, s := range r.order {
		one := s.p.Summary()
		sum.Packets += one.Packets
		sum.Bytes += one.Bytes
		sum.Flows += one.Flows
		for k, n := range one.Drops {
			sum.Drops[k] += n
		}
		for k, n := range one.Dissect {
			sum.Dissect[k] += n
		}
	}
	sum.Drops["dead_letter"] += r.out.dead
	sum.Drops["damaged_file"] += uint64(len(r.result.Damaged))
	sum.Seconds = r.last.Sub(r.first).Seconds()
}

func (r *runner) close() {
	for _, c := range r.readers {
		_ = c.Close()
	}
}
