package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/wardflow/wardflow/pkg/app"
	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/flowgen"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

type benchCmd struct {
	Duration  time.Duration `help:"How long flows are sent as fast as they are taken." default:"10m"`
	Latency   time.Duration `help:"How long flows are sent at half that rate, to measure freshness; 0 leaves it out." default:"2m"`
	Only      string        `help:"all: every service; sink: capture's output and the sink alone." enum:"all,sink" default:"all"`
	Seed      uint64        `help:"Seed of the generated hospital." default:"1"`
	Devices   int           `help:"Devices of the generated hospital." default:"50000"`
	Outage    time.Duration `help:"Measure an outage of the broker of this length instead: the spool, and how fast it drains."`
	Rate      float64       `help:"Flows per second during --outage." default:"20000"`
	Telemetry string        `help:"on: with metrics as configured, and somebody who reads them; off: without, to compare." enum:"on,off" default:"on"`
	Out       string        `help:"File for the result, as JSON." placeholder:"FILE"`
	Keep      bool          `help:"Keep the data folder."`
	Profile   string        `help:"File for a CPU profile of the services' process; FILE.heap is what it holds halfway." placeholder:"FILE"`
}

// Help is shown by --help.
func (benchCmd) Help() string {
	return `Sends generated flows (50,000 devices, Zipf peers, 40 % east-west, 10 % IPv6) from capture's output through
broker, services and sink into ClickHouse, everything embedded, in a data folder of its own, and prints what
it measured: flows stored per second, seconds from publish to visible row, memory, bytes on disk.

Examples:
  wardflow bench                        ten minutes with every service
  wardflow bench --only sink            capture and sink alone
  wardflow bench --telemetry off        without metrics: cpu_us_per_flow compares
  wardflow bench --set embedded.fsync=true
  wardflow bench --outage 10m           the broker is killed and away for ten minutes; status 1 if anything was lost`
}

// benchResult is what is printed and written to --out.
type benchResult struct {
	Services         string             `json:"services"`
	Telemetry        string             `json:"telemetry"`
	CPUPerFlow       float64            `json:"cpu_us_per_flow"` // of all processes
	Fsync            bool               `json:"fsync"`
	Cores            int                `json:"cores"`
	Seconds          float64            `json:"seconds"` // from the first flow to the last row
	FlowsSent        uint64             `json:"flows_sent"`
	FlowsStored      uint64             `json:"flows_stored"`
	FlowsDistinct    uint64             `json:"flows_distinct"`
	FlowsPerS        float64            `json:"flows_per_s"`
	FlowsPerSPerCore float64            `json:"flows_per_s_per_core"`
	LatencyRate      float64            `json:"latency_rate_flows_per_s"`
	LatencyP50       float64            `json:"latency_p50_s"`
	LatencyP99       float64            `json:"latency_p99_s"`
	LatencyMax       float64            `json:"latency_max_s"`
	PeakMemory       map[string]uint64  `json:"peak_memory_bytes"`
	CPU              map[string]float64 `json:"cpu_s"`
	ChangelogBytes   map[string]float64 `json:"changelog_bytes_per_event"`
	DiskBytesPerFlow float64            `json:"disk_bytes_per_flow"`
	TopicBytes       int64              `json:"broker_disk_bytes"`
	Folds            map[string]any     `json:"folds"`
}

// Run implements the command.
func (c *benchCmd) Run(ctx context.Context, g *globals, io *streams) error {
	s, err := g.session(io)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(s.cfg.DataDir), ".wardflow-bench-")
	if err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	if !c.Keep {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	s.cfg.DataDir = dir
	b := &bench{cmd: c, cfg: s.cfg, io: io, log: s.log}
	if c.Outage > 0 {
		return b.outage(ctx)
	}
	stop, err := c.profile()
	if err != nil {
		return err
	}
	err = b.run(ctx)
	stop()
	if err != nil {
		return err
	}
	return b.report()
}

// profile starts a CPU profile where one is asked for.
func (c *benchCmd) profile() (stop func(), err error) {
	if c.Profile == "" {
		return func() {}, nil
	}
	f, err := os.Create(c.Profile)
	if err != nil {
		return nil, fmt.Errorf("make profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, fmt.Errorf("start profile: %w", err)
	}
	heap := time.AfterFunc(c.Duration/2, func() {
		if h, err := os.Create(c.Profile + ".heap"); err == nil {
			_ = pprof.Lookup("heap").WriteTo(h, 0)
			_ = h.Close()
		}
	})
	return func() {
		heap.Stop()
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

type bench struct {
	cmd     *benchCmd
	cfg     *config.Config
	io      *streams
	log     *slog.Logger
	engines *engines
	store   *store.Store
	runners []*stream.Runner
	usage   *usage
	result  benchResult
	flows   uint64
	items   uint64
}

func (b *bench) run(ctx context.Context) (err error) {
	b.io.note("starting broker and ClickHouse in %s", b.cfg.DataDir)
	if b.engines, err = startEngines(ctx, b.cfg, b.log); err != nil {
		return err
	}
	defer b.engines.stop(b.log)
	if err := b.engines.prepare(ctx, version); err != nil {
		return err
	}
	if b.store, err = store.Open(ctx, b.engines.Store); err != nil {
		return err
	}
	defer func() { _ = b.store.Close() }()
	tell, err := b.tell(ctx)
	if err != nil {
		return err
	}
	defer tell.end()
	specs := []app.Spec{sinkUnit(b.cfg, b.engines, b.log, "0")}
	if b.cmd.Only == "all" {
		for _, service := range foldServices {
			units, runners := foldUnits(b.cfg, b.engines, b.log, service, "0")
			specs, b.runners = append(specs, units...), append(b.runners, runners...)
		}
	}
	unitCtx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- tell.run(unitCtx, specs...) }()
	b.usage = watchUsage(b.engines)
	err = b.measure(ctx)
	b.usage.stop()
	cancel()
	if rerr := <-done; err == nil && ctx.Err() == nil {
		err = rerr
	}
	return err
}

// tell tells as a service does, to somebody who reads /metrics as often as Prometheus.
func (b *bench) tell(ctx context.Context) (*telling, error) {
	if b.cmd.Telemetry == "off" {
		b.cfg.Telemetry.Listen, b.cfg.Telemetry.OTLP.Endpoint = "", ""
	}
	t, err := (&session{cfg: b.cfg, log: b.log}).tell(ctx, b.engines, "bench", "0")
	if err != nil || t.Telemetry == nil {
		return t, err
	}
	t.watch(ctx, watched{groups: consumerGroups(), store: true})
	ctx, cancel := context.WithCancel(ctx)
	stop := t.stop
	t.stop = func() { cancel(); stop() }
	t.done.Go(func() {
		every(ctx, watchKafkaEvery, func(context.Context) {
			if _, err := t.Gather(); err != nil {
				b.log.Warn("metrics could not be read", "error", err)
			}
		})
	})
	return t, nil
}

func (b *bench) measure(ctx context.Context) error {
	p, err := bus.NewProducer(b.engines.Kafka, 32<<20)
	if err != nil {
		return err
	}
	defer p.Close()
	w := &timedWriter{p: p, sent: make([][]time.Time, b.engines.Kafka.Partitions), weight: make([][]int, b.engines.Kafka.Partitions)}
	out := capture.NewOutput(w, b.engines.Kafka.Partitions, capture.Naming{Site: "bench", Sensor: "generator", Producer: "bench/generator", Domain: proto.LiveDomain})
	gen := flowgen.New(flowgen.Config{Seed: b.cmd.Seed, Devices: b.cmd.Devices})
	b.io.note("sending flows as fast as they are taken for %s", b.cmd.Duration)
	begun := time.Now()
	if err := b.send(ctx, gen, out, b.cmd.Duration, 0); err != nil {
		return err
	}
	if err := b.catchUp(ctx); err != nil {
		return err
	}
	b.result.Seconds = time.Since(begun).Seconds()
	if err := b.count(ctx); err != nil {
		return err
	}
	if b.cmd.Latency == 0 {
		return nil
	}
	b.result.LatencyRate = b.result.FlowsPerS / 2
	b.io.note("sending %.0f flows/s for %s", b.result.LatencyRate, b.cmd.Latency)
	w.restart()
	fresh := watchFreshness(ctx, b.store, w)
	err = b.send(ctx, gen, out, b.cmd.Latency, b.result.LatencyRate)
	b.result.LatencyP50, b.result.LatencyP99, b.result.LatencyMax = fresh.stop()
	return err
}

// maxBehind is how many flows may be under way: beyond it the generator waits, so
// that the rate is what all services sustain and not what the broker buffers.
const maxBehind = 400_000

// send emits flows for a time, at a rate, or as fast as services keep up.
func (b *bench) send(ctx context.Context, gen *flowgen.Generator, out *capture.Output, d time.Duration, rate float64) error {
	begun, flows, beat := time.Now(), uint64(0), time.Time{}
	for now := begun; now.Sub(begun) < d && ctx.Err() == nil; now = time.Now() {
		if now.Sub(beat) >= time.Second {
			beat = now
			if err := out.Emit(ctx, &proto.Item{Heartbeat: &proto.Heartbeat{Clock: proto.TimeOf(now)}}); err != nil {
				return err
			}
		}
		n := 200
		if rate > 0 {
			n = int(now.Sub(begun).Seconds()*rate) - int(flows)
		}
		for range n {
			f, mirror := gen.Next(now)
			if err := b.emit(ctx, out, f, mirror); err != nil {
				return err
			}
		}
		flows += uint64(n)
		out.Tick(ctx)
		if rate > 0 {
			pause(ctx, 5*time.Millisecond)
			continue
		}
		if b.flows%20_000 < 200 {
			if err := b.holdBack(ctx); err != nil {
				return err
			}
		}
	}
	return out.Flush(ctx)
}

func (b *bench) emit(ctx context.Context, out *capture.Output, f *proto.Flow, mirror bool) error {
	b.flows++
	b.items++
	if err := out.Emit(ctx, &proto.Item{Lane: f.SrcEndpoint.Lane(), Flow: f}); err != nil {
		return err
	}
	if !mirror {
		return nil
	}
	b.items++
	return out.Emit(ctx, &proto.Item{Lane: f.DstEndpoint.Lane(), Mirror: true, Flow: f})
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// holdBack waits while the slowest service is too far behind.
func (b *bench) holdBack(ctx context.Context) error {
	for ctx.Err() == nil {
		behind, err := b.behind(ctx)
		if err != nil {
			return err
		}
		if behind < maxBehind {
			return nil
		}
		pause(ctx, 20*time.Millisecond)
	}
	return ctx.Err()
}

// behind is how many flows (or items, for a fold that applies traffic) the
// slowest service lacks.
func (b *bench) behind(ctx context.Context) (uint64, error) {
	stored, err := b.number(ctx, "SELECT count() FROM flows")
	if err != nil {
		return 0, err
	}
	behind := b.flows - min(b.flows, uint64(stored))
	for _, r := range b.runners {
		if n := r.Snapshot().Traffic; r.ReadsTraffic() && n < b.items {
			behind = max(behind, b.items-n)
		}
	}
	return behind, nil
}

func (b *bench) number(ctx context.Context, sql string) (float64, error) {
	rows, err := b.store.Query(ctx, "SELECT toFloat64(("+sql+"))")
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		return 0, rows.Err()
	}
	v, err := rows.Values()
	if err != nil {
		return 0, err
	}
	f, _ := v[0].(float64)
	return f, nil
}

func (b *bench) catchUp(ctx context.Context) error {
	for ctx.Err() == nil {
		behind, err := b.behind(ctx)
		if err != nil || behind == 0 {
			return err
		}
		pause(ctx, 20*time.Millisecond)
	}
	return ctx.Err()
}

// count asks ClickHouse for what is stored, each flow once.
func (b *bench) count(ctx context.Context) error {
	r := &b.result
	stored, err := b.number(ctx, "SELECT count() FROM flows")
	if err != nil {
		return err
	}
	distinct, err := b.number(ctx, "SELECT uniqExact(flow_id) FROM flows")
	if err != nil {
		return err
	}
	r.DiskBytesPerFlow, err = b.number(ctx, "SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND table = 'flows' AND database = currentDatabase()")
	if err != nil {
		return err
	}
	r.FlowsStored, r.FlowsDistinct = uint64(stored), uint64(distinct)
	r.Services, r.Fsync, r.Cores = b.cmd.Only, b.cfg.Embedded.Fsync, runtime.NumCPU()
	r.FlowsSent = b.flows
	cpu := 0.0
	for _, s := range b.usage.sofar() {
		cpu += s
	}
	r.CPUPerFlow = cpu / float64(max(b.flows, 1)) * 1e6
	r.FlowsPerS = float64(r.FlowsStored) / r.Seconds
	r.FlowsPerSPerCore = r.FlowsPerS / float64(r.Cores)
	r.ChangelogBytes, r.Folds = map[string]float64{}, map[string]any{}
	for _, f := range b.runners {
		s := f.Snapshot()
		r.Folds[f.Name()] = s
		if s.Events > 0 {
			r.ChangelogBytes[f.Name()] = float64(s.ChangelogBytes) / float64(s.Events)
		}
	}
	r.TopicBytes = folderBytes(filepath.Join(b.cfg.DataDir, "broker"))
	return nil
}

func folderBytes(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, ierr := d.Info(); ierr == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

func (b *bench) report() error {
	b.result.PeakMemory, b.result.CPU, b.result.Telemetry = b.usage.peak, b.usage.cpu, b.cmd.Telemetry
	enc, err := json.MarshalIndent(b.result, "", "  ")
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	if b.cmd.Out != "" {
		if err := os.WriteFile(b.cmd.Out, append(enc, '\n'), 0o644); err != nil { //nolint:gosec // a result is for everybody
			return fmt.Errorf("write result: %w", err)
		}
	}
	_, err = fmt.Fprintf(b.io.out, "%s\n", enc)
	return err
}
