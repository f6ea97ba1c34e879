package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/pkg/flowgen"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

// outageRun measures what a sensor does while the broker is away and when it is back:
// generated flows at a rate, through capture's output and its sender, into a
// broker that is killed and started again, and then a look at every number.
type outageRun struct {
	Kafka         bus.Config
	Sender        capture.SenderConfig
	Gen           flowgen.Config
	Rate          float64       // flows per second
	Before, Away  time.Duration // with the broker, and without it
	Kill, Restore func(ctx context.Context) error
	Note          func(format string, args ...any)

	mu      sync.Mutex
	numbers []uint64 // items by partition
	flows   uint64
	late    time.Duration // the generator behind its rate, at most
}

// outageResult is what is printed and written to --out. Records are batches,
// items what is in them: flows, mirrors and heartbeats.
type outageResult struct {
	RateAsked      float64           `json:"rate_asked_flows_per_s"`
	Rate           float64           `json:"rate_flows_per_s"`
	AwayS          float64           `json:"away_s"`
	DrainS         float64           `json:"drain_s"` // from the broker's return to the first record that is direct again
	DrainPerS      float64           `json:"drain_flows_per_s"`
	GeneratorLateS float64           `json:"generator_late_s"` // at most; packets would have been dropped by the kernel meanwhile
	SpoolBytes     int64             `json:"spool_bytes_max"`
	SpoolRecords   uint64            `json:"spool_records_max"`
	WindowBytes    int               `json:"window_bytes_max"`
	Flows          uint64            `json:"flows"`
	Items          uint64            `json:"items"`
	Missing        uint64            `json:"items_missing"`     // numbers that no reader accepts
	Doubled        uint64            `json:"items_doubled"`     // accepted twice
	OutOfOrder     uint64            `json:"records_reordered"` // that came after a higher number of their partition, and not before
	Repeated       uint64            `json:"records_repeated"`  // that came again, and are dropped by number
	Records        uint64            `json:"records"`
	Reconnects     uint64            `json:"reconnects"`
	Dropped        map[string]uint64 `json:"dropped"`
}

// wrong says what must not be.
func (r *outageResult) wrong() error {
	if r.Missing+r.Doubled+r.OutOfOrder > 0 {
		return fmt.Errorf("%d items are missing, %d are doubled, %d records are out of order", r.Missing, r.Doubled, r.OutOfOrder)
	}
	return nil
}

const outageProducer = "bench/outage"

// run generates and sends as long as during goes on, and counts what arrived.
func (o *outageRun) run(ctx context.Context, during func(context.Context, *capture.Sender, *outageResult) error) (*outageResult, error) {
	if err := bus.EnsureTopics(ctx, o.Kafka, bus.Topics()); err != nil {
		return nil, err
	}
	o.numbers = make([]uint64, o.Kafka.Partitions)
	sender := capture.NewSender(o.Sender)
	senderCtx, stopSender := context.WithCancel(ctx)
	defer stopSender()
	sent := make(chan error, 1)
	go func() { sent <- sender.Run(senderCtx) }()
	genCtx, stopGen := context.WithCancel(ctx)
	defer stopGen()
	generated := make(chan error, 1)
	begun := time.Now()
	go func() { generated <- o.generate(genCtx, ctx, sender) }()

	r := &outageResult{}
	err := during(ctx, sender, r)
	r.Rate = float64(o.made()) / time.Since(begun).Seconds()
	stopGen()
	err = errors.Join(err, <-generated)
	if err == nil {
		err = sender.Flush(ctx)
	}
	stopSender()
	err = errors.Join(err, <-sent)
	if err != nil {
		return r, err
	}
	st := sender.Stats()
	r.RateAsked, r.Flows, r.GeneratorLateS, r.Reconnects, r.Dropped = o.Rate, o.flows, o.late.Seconds(), st.Reconnects, map[string]uint64{}
	for reason, n := range st.Dropped {
		r.Dropped[string(reason)] = n
	}
	o.Note("counting what is in %s", proto.TopicTraffic)
	return r, o.count(ctx, r)
}

// outage is a time with the broker, one without, and the way back.
func (o *outageRun) outage(ctx context.Context, sender *capture.Sender, r *outageResult) error {
	o.Note("%.0f flows/s with the broker there, for %v", o.Rate, o.Before)
	pause(ctx, o.Before)
	gone := time.Now()
	if err := o.Kill(ctx); err != nil {
		return fmt.Errorf("take the broker away: %w", err)
	}
	o.Note("the broker is away for %v", o.Away)
	for ctx.Err() == nil && time.Since(gone) < o.Away {
		o.sample(r, sender.Stats())
		pause(ctx, min(time.Second, o.Away-time.Since(gone)))
	}
	if err := o.Restore(ctx); err != nil {
		return fmt.Errorf("bring the broker back: %w", err)
	}
	back, made, before := time.Now(), o.made(), sender.Stats()
	r.AwayS = back.Sub(gone).Seconds()
	o.sample(r, before)
	o.Note("the broker is back after %.1f s; %d MiB in the spool", r.AwayS, before.Spool.Bytes>>20)
	for st := before; ctx.Err() == nil; st = sender.Stats() {
		o.sample(r, st)
		if st.State == capture.SendsDirect && st.Drained > before.Drained {
			break
		}
		pause(ctx, 50*time.Millisecond)
	}
	r.DrainS = time.Since(back).Seconds()
	// What the spool held, and what came meanwhile.
	r.DrainPerS = (o.Rate*r.AwayS + float64(o.made()-made)) / r.DrainS
	o.Note("drained in %.1f s", r.DrainS)
	pause(ctx, o.Before)
	return ctx.Err()
}

func (o *outageRun) sample(r *outageResult, st capture.SenderStats) {
	r.SpoolBytes, r.SpoolRecords = max(r.SpoolBytes, st.Spool.Bytes), max(r.SpoolRecords, st.Spool.Pending)
	r.WindowBytes = max(r.WindowBytes, st.WindowBytes)
}

func (o *outageRun) made() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flows
}

// generate emits flows at the rate until until ends; ctx is that of the writing.
func (o *outageRun) generate(until, ctx context.Context, sender *capture.Sender) error {
	out := capture.NewOutput(sender, o.Kafka.Partitions, capture.Naming{Site: "bench", Sensor: "generator", Producer: outageProducer, Domain: outageProducer})
	gen := flowgen.New(o.Gen)
	begun, beat, flows := time.Now(), time.Time{}, uint64(0)
	for until.Err() == nil {
		now := time.Now()
		if now.Sub(beat) >= time.Second {
			beat = now
			if err := o.beat(ctx, out, now, false); err != nil {
				return err
			}
		}
		due := uint64(now.Sub(begun).Seconds() * o.Rate)
		o.late = max(o.late, time.Duration(float64(due-flows)/o.Rate*float64(time.Second)))
		for ; flows < due; flows++ {
			if err := o.emit(ctx, out, gen, now); err != nil {
				return err
			}
		}
		o.mu.Lock()
		o.flows = flows
		o.mu.Unlock()
		out.Tick(ctx)
		pause(until, 5*time.Millisecond)
	}
	if err := o.beat(ctx, out, time.Now(), true); err != nil { // so that folds tell all they have
		return err
	}
	return out.Flush(ctx)
}

func (o *outageRun) beat(ctx context.Context, out *capture.Output, now time.Time, end bool) error {
	for p := range o.numbers {
		o.numbers[p]++
	}
	return out.Emit(ctx, &proto.Item{Heartbeat: &proto.Heartbeat{Clock: proto.TimeOf(now), End: end}})
}

func (o *outageRun) emit(ctx context.Context, out *capture.Output, gen *flowgen.Generator, now time.Time) error {
	f, mirror := gen.Next(now)
	o.numbers[f.SrcEndpoint.Lane().Partition(o.Kafka.Partitions)]++
	if err := out.Emit(ctx, &proto.Item{Lane: f.SrcEndpoint.Lane(), Flow: f}); err != nil {
		return err
	}
	if !mirror {
		return nil
	}
	o.numbers[f.DstEndpoint.Lane().Partition(o.Kafka.Partitions)]++
	return out.Emit(ctx, &proto.Item{Lane: f.DstEndpoint.Lane(), Mirror: true, Flow: f})
}

// count reads the topic as consumers do: what is not above the highest number of
// its producer and partition is dropped.
func (o *outageRun) count(ctx context.Context, r *outageResult) error {
	reader, err := bus.NewReader(o.Kafka)
	if err != nil {
		return err
	}
	defer reader.Close()
	for p := range o.Kafka.Partitions {
		t := tally{accepted: map[uint64]bool{}}
		first := int64(-1)
		if _, err := reader.Read(ctx, proto.TopicTraffic, p, 0, func(rec bus.Record) error {
			if first < 0 {
				first = rec.Offset
			}
			return t.add(rec.Value)
		}); err != nil {
			return err
		}
		if first > 0 {
			return fmt.Errorf("partition %d begins at offset %d: retention has taken records, so nothing can be said; give more room", p, first)
		}
		t.end(o.numbers[p], r)
	}
	return nil
}

// tally is what a reader of one partition accepts.
type tally struct {
	highest  uint64
	accepted map[uint64]bool // first numbers of accepted records
	skipped  uint64          // numbers that were passed over
	r        outageResult
	batch    proto.Batch
}

func (t *tally) add(value []byte) error {
	if err := proto.Unmarshal(value, &t.batch); err != nil {
		return fmt.Errorf("read a batch back: %w", err)
	}
	if t.batch.Producer != outageProducer {
		return fmt.Errorf("a batch is of producer %q", t.batch.Producer)
	}
	t.r.Records++
	first, n := t.batch.FirstSeq, uint64(len(t.batch.Items))
	switch last := first + n - 1; {
	case last <= t.highest && t.accepted[first]:
		t.r.Repeated++
	case last <= t.highest:
		t.r.OutOfOrder++
	case first <= t.highest:
		t.r.Doubled += t.highest - first + 1
		t.highest = last
	default:
		t.skipped += first - t.highest - 1
		t.highest, t.accepted[first] = last, true
		t.r.Items += n
	}
	return nil
}

func (t *tally) end(want uint64, r *outageResult) {
	r.Records, r.Items, r.Repeated = r.Records+t.r.Records, r.Items+t.r.Items, r.Repeated+t.r.Repeated
	r.OutOfOrder, r.Doubled = r.OutOfOrder+t.r.OutOfOrder, r.Doubled+t.r.Doubled
	r.Missing += t.skipped + want - min(want, t.highest)
	r.Doubled += t.highest - min(want, t.highest)
}

// outage runs it on an embedded broker in a data folder of its own.
func (b *bench) outage(ctx context.Context) error {
	cfg := b.cfg
	run, err := embedded.EnsureRunFile(cfg.DataDir)
	if err != nil {
		return err
	}
	conf := run.BrokerConfig(filepath.Join(cfg.DataDir, brokerFolder))
	conf.SyncWrites, conf.MaxBytes = cfg.Embedded.Fsync, 1<<40 // all of it is counted at the end
	cfg.Kafka.Brokers, cfg.Spool.Dir = nil, ""                 // nothing of the real system is touched
	e, err := newEngines(cfg, run)
	if err != nil {
		return err
	}
	e.Kafka.MaxTopicBytes = 0
	var broker *embedded.Process
	restore := func(ctx context.Context) (err error) {
		broker, err = embedded.StartBroker(ctx, conf, embedded.Child{LogFile: filepath.Join(cfg.DataDir, "log", "broker.log")})
		return err
	}
	if err := restore(ctx); err != nil {
		return err
	}
	defer func() { _ = broker.Stop() }()
	o := &outageRun{
		Kafka: e.Kafka, Sender: senderConfig(cfg, e.Kafka, b.log), Gen: flowgen.Config{Seed: b.cmd.Seed, Devices: b.cmd.Devices},
		Rate: b.cmd.Rate, Before: min(10*time.Second, b.cmd.Outage), Away: b.cmd.Outage, Restore: restore, Note: b.io.note,
		Kill: func(context.Context) error { return errors.Join(broker.Kill(), broker.Stop()) },
	}
	r, err := o.run(ctx, o.outage)
	if err != nil {
		return err
	}
	enc, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	if b.cmd.Out != "" {
		if err := os.WriteFile(b.cmd.Out, append(enc, '\n'), 0o644); err != nil { //nolint:gosec // a result is for everybody
			return fmt.Errorf("write result: %w", err)
		}
	}
	if _, err := fmt.Fprintf(b.io.out, "%s\n", enc); err != nil {
		return err
	}
	return r.wrong()
}
