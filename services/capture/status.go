package capture

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
)

// ReporterConfig says what a live sensor tells of itself, and how often.
type ReporterConfig struct {
	Site, Sensor string
	Version      string // of the program
	Run          proto.ID
	Partitions   int32
	// Parts each fill in what they know, in order; they must not block for long.
	Parts []func(*proto.SensorStatus)
	// Connect makes a client of the broker, as in SenderConfig.
	Connect func(maxBuffered int) (Link, error)
	Every   time.Duration // default 10 s
	Now     func() time.Time
	Log     *slog.Logger
}

const (
	reportEvery  = 10 * time.Second
	reportWithin = 5 * time.Second // the broker's answer; then the status is dropped, and said anew
	reportLast   = 2 * time.Second // the same, for the last word
	reportBuffer = 256 << 10
)

// Reporter says a live sensor's status on wardflow.sensors: when it starts, every
// ten seconds, and when it stops. Statuses go around the spool, because an old one
// is of no use: while the broker is away they are dropped and counted. It has a
// client and a goroutine of its own, so capture never waits for it.
type Reporter struct {
	cfg  ReporterConfig
	conn Link // nil: none yet, or it did not answer
	seq  uint64

	last     proto.SensorStatus // the one before, for the rates
	lastTime time.Time

	mu    sync.Mutex
	stats ReporterStats
}

// ReporterStats are counts since the start.
type ReporterStats struct {
	Said    uint64 // statuses that the broker has
	Dropped uint64 // statuses that it did not take in time
}

// NewReporter makes a Reporter; nothing happens before Run.
func NewReporter(cfg ReporterConfig) (*Reporter, error) {
	for _, x := range []struct{ what, name string }{{"site", cfg.Site}, {"sensor", cfg.Sensor}} {
		if err := proto.CheckSensorName(x.name); err != nil {
			return nil, fmt.Errorf("report the sensor's status: %s %q %w: give it another name", x.what, x.name, err)
		}
	}
	cfg.Every = orElse(cfg.Every, reportEvery)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Reporter{cfg: cfg}
	r.last.Started, r.lastTime = proto.TimeOf(cfg.Now()), cfg.Now()
	return r, nil
}

// Stats may be called at any time.
func (r *Reporter) Stats() ReporterStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// Run reports until ctx ends, and then that the sensor stops.
func (r *Reporter) Run(ctx context.Context) error {
	tick := time.NewTicker(r.cfg.Every)
	defer tick.Stop()
	defer r.drop()
	for {
		if err := r.report(ctx, proto.SensorUp, reportWithin); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return r.report(context.WithoutCancel(ctx), proto.SensorStopping, reportLast)
		}
	}
}

func (r *Reporter) drop() {
	if r.conn != nil {
		r.conn.Close() // what it holds is gone with it
		r.conn = nil
	}
}

// report says the status of now, and waits a while for the broker to have it. What
// it does not take is not left with the client: sent later, it would be of an
// old moment, and its sender's clock would seem to be behind.
func (r *Reporter) report(ctx context.Context, state string, within time.Duration) error {
	m, err := r.message(state)
	if err != nil {
		return err
	}
	if err := r.send(ctx, m, within); err != nil {
		r.drop()
		r.cfg.Log.Debug("the sensor's status is dropped", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil {
		r.stats.Dropped++
	} else {
		r.stats.Said++
	}
	return nil
}

func (r *Reporter) send(ctx context.Context, m bus.Message, within time.Duration) (err error) {
	if r.conn == nil {
		if r.conn, err = r.cfg.Connect(reportBuffer); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	done := make(chan error, 1)
	r.conn.Produce(ctx, m, func(err error) { done <- err })
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return err
}

// message is the record of a status.
func (r *Reporter) message(state string) (bus.Message, error) {
	s := r.status(state)
	value, err := json.Marshal(s)
	if err != nil {
		return bus.Message{}, fmt.Errorf("encode the sensor's status: %w", err)
	}
	r.seq++
	key := proto.SensorKey(s.Site, s.Sensor)
	env := proto.Envelope{
		Schema: proto.SchemaDerived, Kind: proto.KindSensor, Producer: "sensor:" + key + "/" + s.Run.String(), Seq: r.seq,
		Cause: proto.Cause{Partition: -1}, Time: s.Time, Domain: proto.LiveDomain,
	}
	header, err := env.Append(nil)
	if err != nil {
		return bus.Message{}, fmt.Errorf("encode envelope: %w", err)
	}
	return bus.Message{
		Topic: proto.TopicSensors, Partition: proto.SensorLane(s.Site, s.Sensor).Partition(r.cfg.Partitions),
		Key: []byte(key), Value: value, Envelope: header, Sent: proto.TimeOf(r.cfg.Now()),
	}, nil
}

// status asks all parts, and makes rates of what has changed since the status
// before. Time passes by the monotonic clock: a clock that is set right is no rate.
func (r *Reporter) status(state string) *proto.SensorStatus {
	now := r.cfg.Now()
	s := proto.SensorStatus{
		Time: proto.TimeOf(now), Site: r.cfg.Site, Sensor: r.cfg.Sensor, Run: r.cfg.Run, Started: r.last.Started, State: state,
		Version: clip(r.cfg.Version, 64), Interfaces: []proto.SensorInterface{}, Drops: map[string]uint64{},
	}
	for _, fill := range r.cfg.Parts {
		fill(&s)
	}
	if seconds := now.Sub(r.lastTime).Seconds(); seconds > 0 {
		rate := func(now, before uint64) float64 { return float64(max(now, before)-before) / seconds }
		s.PacketsPerS, s.BytesPerS, s.FlowsPerS = rate(s.Packets, r.last.Packets), rate(s.Bytes, r.last.Bytes), rate(s.Flows, r.last.Flows)
	}
	s.ConfigError = clip(s.ConfigError, 500)
	r.last, r.lastTime = s, now
	return &s
}

// clip cuts a text where a character ends.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && s[most]&0xC0 == 0x80 {
		most--
	}
	return s[:most]
}

// What of a Summary's drops is lost by the sensor. The rest is odd packets, of which any network has some.
var losses = []string{DropRingBlock, "flow_table_full", "packet_panic", "fragment_evicted"}

// Report fills in what has been captured. What the kernel had no room for is with the interfaces.
func (l *Live) Report(s *proto.SensorStatus) {
	st := l.Stats()
	s.Interfaces = append(s.Interfaces, st.Interfaces...)
	s.Packets, s.Bytes, s.Flows, s.Observations = st.Packets, st.Bytes, st.Flows, st.Observations
	for _, reason := range losses {
		if n := st.Drops[reason]; n > 0 {
			s.Drops[reason] = n
		}
	}
}

// Report fills in what waits in the spool, and what was lost on the way to the broker.
func (s *Sender) Report(to *proto.SensorStatus) {
	st := s.Stats()
	to.SpoolRecords, to.SpoolBytes = st.Spool.Pending, 0
	if st.Spool.Pending > 0 {
		to.SpoolBytes, to.SpoolOldest = uint64(max(st.Spool.Bytes, 0)), to.Time.Add(-st.Spool.OldestAge)
	}
	for reason, n := range st.Dropped {
		if n > 0 {
			to.Drops["send_"+string(reason)] = n
		}
	}
}
