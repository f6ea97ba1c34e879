package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/wardflow/wardflow/pkg/app"
	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

// The ends of canary flows: addresses for documentation (RFC 5737, RFC 3849), which
// nobody has. They are no endpoints, so nothing can become a device.
var canaryEnds = [][2]netip.Addr{
	{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")},
	{netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("2001:db8:2::1")},
}

// canaryProbe sends a flow now and then, of the reserved site, the way that all flows
// go, and looks when it is a row in ClickHouse and when the folds have passed it.
type canaryProbe struct {
	every, lostAfter time.Duration
	sensor           string
	run              proto.ID
	out              canaryOutput
	// rows gives the flows of our sensor that are rows; nil where nobody can be asked.
	rows func(ctx context.Context, since time.Time) (map[proto.ID]store.Place, error)
	// passed gives the next offset that each group reads of a partition; may be nil.
	passed func(ctx context.Context, groups []string, partition int32) (map[string]int64, error)
	groups []string
	now    func() time.Time
	log    *slog.Logger

	sent, seen, lost *telemetry.Counter
	freshness        *telemetry.Histogram
	last             *telemetry.Gauge
	fold             map[string]*telemetry.Gauge

	number   uint64
	next     time.Time
	looked   time.Time
	waiting  []canaryFlow // not yet rows, the oldest first
	behind   []canaryFlow // rows that not all folds have passed, the oldest first
	took     time.Duration
	foldTook map[string]time.Duration
}

// canaryOutput is what it needs of a capture.Output.
type canaryOutput interface {
	Emit(ctx context.Context, it *proto.Item) error
	Tick(ctx context.Context)
}

type canaryFlow struct {
	id     proto.ID
	at     time.Time
	place  store.Place
	passed []string // groups
}

// How often ClickHouse is asked while a flow is missing, and once that lasts.
const (
	canaryTick = 250 * time.Millisecond
	canaryCalm = 5 * time.Second
	canaryLate = 30 * time.Second // missing for so long is lasting
)

func newCanary(cfg *telemetry.Canary, t *telemetry.Telemetry, sensor string, out canaryOutput, log *slog.Logger) *canaryProbe {
	c := &canaryProbe{
		every: cfg.Interval, lostAfter: cfg.LostAfter, sensor: sensor, out: out, now: time.Now, log: log,
		sent: t.Counter(telemetry.CanarySent), seen: t.Counter(telemetry.CanarySeen), lost: t.Counter(telemetry.CanaryLost),
		freshness: t.Histogram(telemetry.CanaryFreshness), last: t.Gauge(telemetry.CanaryLast),
		fold: map[string]*telemetry.Gauge{}, foldTook: map[string]time.Duration{},
	}
	for _, f := range folds() {
		if f.Inputs()[0].Topic == proto.TopicTraffic {
			group := stream.Group(f.Name())
			c.groups = append(c.groups, group)
			c.fold[group] = t.Gauge(telemetry.CanaryFold, group)
		}
	}
	return c
}

// Run sends and looks until ctx ends.
func (c *canaryProbe) Run(ctx context.Context) error {
	tick := time.NewTicker(canaryTick)
	defer tick.Stop()
	for {
		if err := c.step(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (c *canaryProbe) step(ctx context.Context) error {
	now := c.now()
	if !now.Before(c.next) {
		c.next = now.Add(c.every)
		if err := c.send(ctx, now); err != nil {
			return err
		}
	}
	c.out.Tick(ctx)
	if c.rows == nil {
		return nil
	}
	if len(c.waiting)+len(c.behind) > 0 && (now.Sub(c.looked) >= canaryCalm || c.oldest(now) < canaryLate) {
		c.looked = now
		c.look(ctx)
		c.follow(ctx)
	}
	c.tell(c.now())
	return nil
}

// oldest is how long the flow that waits longest has been waiting.
func (c *canaryProbe) oldest(now time.Time) time.Duration {
	var d time.Duration
	for _, list := range [][]canaryFlow{c.waiting, c.behind} {
		if len(list) > 0 {
			d = max(d, now.Sub(list[0].at))
		}
	}
	return d
}

func (c *canaryProbe) send(ctx context.Context, now time.Time) error {
	c.number++
	ends := canaryEnds[c.number%uint64(len(canaryEnds))]
	at := proto.TimeOf(now)
	f := &proto.Flow{
		FlowID: proto.HashID("canary", c.run[:], strconv.AppendUint(nil, c.number, 10)), Final: true, Start: at, End: at, Transport: proto.UDP, State: "S0",
		SrcIP: ends[0], SrcPort: 7, SrcPackets: 1, SrcBytes: 28, DstIP: ends[1], DstPort: 7, Protocol: "unknown",
	}
	if err := c.out.Emit(ctx, &proto.Item{Lane: f.FlowID.Lane(), Flow: f}); err != nil {
		return fmt.Errorf("send canary flow: %w", err)
	}
	c.sent.Add(1)
	if c.rows != nil {
		c.waiting = append(c.waiting, canaryFlow{id: f.FlowID, at: now})
	}
	return nil
}

// look asks ClickHouse for what is missing, and gives up what has been for too long.
func (c *canaryProbe) look(ctx context.Context) {
	if len(c.waiting) == 0 {
		return
	}
	ask, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	rows, err := c.rows(ask, c.waiting[0].at)
	if err != nil {
		c.log.Debug("canary flows cannot be looked for", "error", err) // the metrics tell
	}
	now := c.now()
	c.waiting = slices.DeleteFunc(c.waiting, func(f canaryFlow) bool {
		took := now.Sub(f.at)
		if at, ok := rows[f.id]; ok {
			c.seen.Add(1)
			c.freshness.Record(took.Seconds())
			c.took = took
			f.place = at
			c.behind = append(c.behind, f)
			return true
		}
		if took < c.lostAfter {
			return false
		}
		c.lost.Add(1)
		c.took = took
		c.log.Warn("a canary flow has not become a row", "sent", f.at, "after", took.Round(time.Second))
		return true
	})
}

// follow asks how far the folds are.
func (c *canaryProbe) follow(ctx context.Context) {
	if c.passed == nil {
		c.behind = nil
		return
	}
	if len(c.behind) == 0 {
		return
	}
	ask, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for i := range c.behind {
		f := &c.behind[i]
		at, err := c.passed(ask, c.groups, f.place.Partition)
		if err != nil {
			return
		}
		now := c.now()
		for _, group := range c.groups {
			if at[group] > f.place.Offset && !slices.Contains(f.passed, group) {
				f.passed = append(f.passed, group)
				c.foldTook[group] = now.Sub(f.at)
			}
		}
	}
	now := c.now()
	c.behind = slices.DeleteFunc(c.behind, func(f canaryFlow) bool {
		return len(f.passed) == len(c.groups) || now.Sub(f.at) >= c.lostAfter
	})
}

// tell sets the gauges: what the last flow took, or how long the oldest is missing.
func (c *canaryProbe) tell(now time.Time) {
	last := c.took
	if len(c.waiting) > 0 {
		last = max(last, now.Sub(c.waiting[0].at))
	}
	c.last.Set(last.Seconds())
	for _, group := range c.groups {
		took := c.foldTook[group]
		for _, f := range c.behind {
			if !slices.Contains(f.passed, group) {
				took = max(took, now.Sub(f.at))
				break
			}
		}
		c.fold[group].Set(took.Seconds())
	}
}

// canaryUnit is the unit of a process that sends by w, or, where w is nil, by a client of its
// own. It waits for begin, when that is not nil. No unit where it is not asked for.
func canaryUnit(cfg *config.Config, e *engines, log *slog.Logger, w capture.Writer, begin <-chan struct{}) []app.Spec {
	if cfg.Telemetry.Canary.Interval == 0 || e.Kafka.Telemetry == nil {
		return nil
	}
	log = log.With("unit", "canary")
	return []app.Spec{{
		Unit: app.Func("canary", func(ctx context.Context) error {
			if begin != nil {
				select {
				case <-begin:
				case <-ctx.Done():
					return nil
				}
			}
			return runCanary(ctx, cfg, e, log, w)
		}),
		Restart: app.DefaultBackoff(),
	}}
}

func runCanary(ctx context.Context, cfg *config.Config, e *engines, log *slog.Logger, w capture.Writer) error {
	if w == nil {
		p, err := bus.NewProducer(e.Kafka, 1<<20)
		if err != nil {
			return err
		}
		defer p.Close()
		w = p
	}
	var run proto.ID
	if _, err := rand.Read(run[:]); err != nil {
		return fmt.Errorf("name the canary's run: %w", err)
	}
	sensor := cfg.Site + "/" + cfg.Sensor
	out := capture.NewOutput(w, e.Kafka.Partitions, capture.Naming{
		Site: proto.CanarySite, Sensor: sensor, Producer: "canary:" + sensor + "/" + run.String(), Domain: proto.LiveDomain,
	})
	c := newCanary(&cfg.Telemetry.Canary, e.Kafka.Telemetry, sensor, out, log)
	c.run = run
	if len(e.Store.Addresses) == 0 {
		log.Info("canary flows are sent and not looked for, because no ClickHouse is configured here")
		return c.Run(ctx)
	}
	offsets, err := bus.NewLagWatcher(e.Kafka)
	if err != nil {
		return err
	}
	defer offsets.Close()
	c.passed = func(ctx context.Context, groups []string, partition int32) (map[string]int64, error) {
		return offsets.Passed(ctx, groups, proto.TopicTraffic, partition)
	}
	var s *store.Store
	defer func() {
		if s != nil {
			_ = s.Close()
		}
	}()
	c.rows = func(ctx context.Context, since time.Time) (map[proto.ID]store.Place, error) {
		if s == nil {
			var err error
			if s, err = store.Open(ctx, e.Store); err != nil {
				return nil, err
			}
		}
		return s.Canaries(ctx, sensor, since)
	}
	return c.Run(ctx)
}
