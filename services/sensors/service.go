package sensors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
)

// Group is the consumer group of the service.
const Group = "wardflow.sensors"

// Topics lists the topics that the service reads.
func Topics() []string { return []string{proto.TopicSensors, proto.TopicControl} }

// Config of the service.
type Config struct {
	RequireEnrolment bool          // a sensor that is not in the register is an event
	AwayAfter        time.Duration // of silence; default 30 s
	StoppedAfter     time.Duration // of silence of one that said that it stops; default 10 min
	Instance         string        // stable name of this instance among those of the service
	Bus              bus.Config
	Now              func() time.Time // default time.Now
	Log              *slog.Logger
}

// The default bounds.
const (
	DefaultAwayAfter    = 30 * time.Second
	DefaultStoppedAfter = 10 * time.Minute
)

const (
	tickEvery   = time.Second
	commitEvery = 5 * time.Second  // of offsets alone
	aliveWithin = 5 * time.Second  // for the broker's answer, before silence is taken for absence
	commitBound = 30 * time.Second // of one transaction
	mostRecords = 1000             // of one poll
)

// session is what the service needs of the bus; *bus.Session is one.
type session interface {
	Poll(ctx context.Context, max int) ([]bus.Record, error)
	Done()
	Begin() error
	Produce(ctx context.Context, m bus.Message)
	Commit(ctx context.Context, offsets bus.Offsets) error
}

// reader reads a partition to its end; *bus.Reader is one.
type reader interface {
	Read(ctx context.Context, topic string, partition int32, offset int64, f func(bus.Record) error) (int64, error)
}

// Stats are counters of a Service.
type Stats struct {
	Statuses  uint64 // taken
	Events    uint64 // said
	Malformed uint64 // records that are no status, or not where they belong
	Refused   uint64 // statuses of more strangers than are kept book of
}

// Service is one instance. Make it with New.
type Service struct {
	cfg   Config
	read  reader
	alive func(ctx context.Context) error // nil: the broker answers
	parts map[int32]*partition

	ticked, committed time.Time
	moved             bool // offsets have moved since the last commit
	deaf              bool // the broker did not answer when it was asked last

	statuses, events, malformed, refused atomic.Uint64
	standings                            atomic.Pointer[map[standing]int] // of the last tick

	joined atomic.Bool // the group has given us what is ours
	mute   atomic.Bool // the broker does not answer
}

// partition is a partition of ours.
type partition struct {
	*book
	number      int32
	seq         uint64 // of the last event
	next        int64  // offset of the next status
	nextControl int64
}

// New makes a service; nothing happens before Run.
func New(cfg Config) *Service {
	if cfg.AwayAfter == 0 {
		cfg.AwayAfter = DefaultAwayAfter
	}
	if cfg.StoppedAfter == 0 {
		cfg.StoppedAfter = DefaultStoppedAfter
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{cfg: cfg, parts: map[int32]*partition{}}
}

// Stats are as of now.
func (s *Service) Stats() Stats {
	return Stats{Statuses: s.statuses.Load(), Events: s.events.Load(), Malformed: s.malformed.Load(), Refused: s.refused.Load()}
}

var (
	errNotJoined = errors.New("has not joined its group on Kafka yet, or is restoring its books")
	errNoBroker  = errors.New("the broker does not answer")
)

// Check tells whether the service can hear anybody, and why not.
func (s *Service) Check() error {
	switch {
	case !s.joined.Load():
		return errNotJoined
	case s.mute.Load():
		return errNoBroker
	}
	return nil
}

// Run keeps book until ctx ends. After an error it may be called again: what was
// not committed is concluded anew, with the same ids.
func (s *Service) Run(ctx context.Context) error {
	r, err := bus.NewReader(s.cfg.Bus)
	if err != nil {
		return err
	}
	defer r.Close()
	s.read = r
	s.parts, s.moved, s.deaf = map[int32]*partition{}, false, false
	s.mute.Store(false)
	defer s.joined.Store(false)
	s.alive = func(ctx context.Context) error { return bus.Ping(ctx, s.cfg.Bus) }
	in, err := bus.NewSession(ctx, bus.SessionConfig{
		Config: s.cfg.Bus, Group: Group, TransactionalID: Group + "." + s.cfg.Instance, Instance: s.cfg.Instance, Topics: Topics(), Assigner: s,
	})
	if err != nil {
		return err
	}
	defer in.Close()
	return s.loop(ctx, in)
}

func (s *Service) loop(ctx context.Context, in session) error {
	for {
		if err := s.step(ctx, in); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// step takes what has come, concludes, and says it in one transaction.
func (s *Service) step(ctx context.Context, in session) error {
	pctx, cancel := context.WithTimeout(ctx, tickEvery)
	records, err := in.Poll(pctx, mostRecords)
	cancel()
	defer in.Done()
	if err != nil {
		return fmt.Errorf("read sensors: %w", err)
	}
	now := s.cfg.Now()
	for i := range records {
		if records[i].Topic == proto.TopicControl { // the register first: who is on it is no stranger
			s.take(&records[i], now)
		}
	}
	for _, p := range s.parts {
		p.reconcile(now)
	}
	for i := range records {
		if records[i].Topic == proto.TopicSensors {
			s.take(&records[i], now)
		}
	}
	if now.Sub(s.ticked) >= tickEvery {
		s.ticked = now
		s.tick(ctx, now)
		s.stand()
	}
	var events []proto.SensorEvent
	var from []*partition
	for _, p := range s.parts {
		for _, v := range p.take() {
			events, from = append(events, v), append(from, p)
		}
		s.refused.Add(p.refused)
		p.refused = 0
	}
	if len(events) == 0 && (!s.moved || now.Sub(s.committed) < commitEvery && ctx.Err() == nil) {
		return nil
	}
	return s.commit(ctx, in, events, from, now)
}

// take hands a record to its partition's book.
func (s *Service) take(r *bus.Record, now time.Time) {
	p := s.parts[r.Partition]
	if p == nil {
		return // of a partition that is not ours any more
	}
	switch r.Topic {
	case proto.TopicControl:
		if r.Offset < p.nextControl {
			return // read when the partition was assigned
		}
		p.nextControl = r.Offset + 1
		p.control(r, s.cfg.Bus.Partitions)
	case proto.TopicSensors:
		p.next = r.Offset + 1
		st, ok := readStatus(r, s.cfg.Bus.Partitions)
		if !ok {
			s.malformed.Add(1)
			break
		}
		s.statuses.Add(1)
		p.status(st, r.Time, r.Sent, now)
	}
	s.moved = true
}

// readStatus takes a record for what it says it is only where it belongs: under
// its sensor's key, on its sensor's partition.
func readStatus(r *bus.Record, partitions int32) (*proto.SensorStatus, bool) {
	if r.Control || len(r.Value) == 0 || len(r.Value) > proto.MaxSensorRecord {
		return nil, false
	}
	var st proto.SensorStatus
	if json.Unmarshal(r.Value, &st) != nil || st.Check() != nil {
		return nil, false
	}
	if string(r.Key) != proto.SensorKey(st.Site, st.Sensor) || proto.SensorLane(st.Site, st.Sensor).Partition(partitions) != r.Partition {
		return nil, false
	}
	return &st, true
}

// control takes a line of the register about a sensor of this partition.
func (p *partition) control(r *bus.Record, partitions int32) {
	var c proto.Control
	if r.Control || json.Unmarshal(r.Value, &c) != nil || c.Enrolment == nil {
		return // a marker, or an event for others
	}
	if e := c.Enrolment; proto.SensorLane(e.Site, e.Sensor).Partition(partitions) == p.number {
		p.enrol(e)
	}
}

// tick concludes who is away. Before that the broker must answer: while it does
// not, nobody can be heard, and silence says nothing; nor does it at the moment in
// which it answers again.
func (s *Service) tick(ctx context.Context, now time.Time) {
	silent := s.deaf
	for _, p := range s.parts {
		silent = silent || p.silent(now)
	}
	if !silent {
		return
	}
	actx, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	before := s.deaf
	err := s.alive(actx)
	s.deaf = err != nil
	if s.mute.Store(s.deaf); s.deaf {
		s.cfg.Log.Debug("sensors: the broker does not answer, so silence says nothing", "error", err)
	}
	for _, p := range s.parts {
		if before || s.deaf {
			p.deaf(now)
		}
		p.tick(now)
	}
}

// commit writes events, alerts and offsets in one transaction.
func (s *Service) commit(ctx context.Context, in session, events []proto.SensorEvent, from []*partition, now time.Time) error {
	// What was concluded is said also when we are told to stop meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitBound)
	defer cancel()
	if err := in.Begin(); err != nil {
		return fmt.Errorf("say events of sensors: %w", err)
	}
	for i := range events {
		list, err := from[i].messages(&events[i])
		if err != nil {
			return err
		}
		for _, m := range list {
			in.Produce(ctx, m)
		}
	}
	offsets := bus.Offsets{}
	for n, p := range s.parts {
		offsets.Set(proto.TopicSensors, n, bus.Committed{Offset: p.next})
		offsets.Set(proto.TopicControl, n, bus.Committed{Offset: p.nextControl})
	}
	if err := in.Commit(ctx, offsets); err != nil {
		return fmt.Errorf("say events of sensors: %w", err)
	}
	s.committed, s.moved = now, false
	s.events.Add(uint64(len(events)))
	for i := range events {
		s.cfg.Log.Info("sensor: "+events[i].What, "site", events[i].Site, "sensor", events[i].Sensor, "state", events[i].State)
	}
	return nil
}

func producer(partition int32) string { return "sensors/" + strconv.Itoa(int(partition)) }

// messages are an event's records.
func (p *partition) messages(v *proto.SensorEvent) ([]bus.Message, error) {
	p.seq++
	out := make([]bus.Message, 0, 2)
	for _, x := range []struct {
		topic, kind, key string
		value            any
	}{
		{proto.TopicSensorEvents, proto.KindSensorEvent, proto.SensorKey(v.Site, v.Sensor) + "/" + v.What, v},
		{proto.TopicAlerts, proto.KindAlert, v.EventID.String(), alert(v)},
	} {
		env := proto.Envelope{Schema: proto.SchemaDerived, Kind: x.kind, Producer: producer(p.number), Seq: p.seq, Cause: proto.Cause{Partition: -1}, Time: v.Time}
		header, err := env.Append(nil)
		if err != nil {
			return nil, fmt.Errorf("encode envelope: %w", err)
		}
		value, err := json.Marshal(x.value)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", x.kind, err)
		}
		out = append(out, bus.Message{Topic: x.topic, Partition: p.number, Key: []byte(x.key), Value: value, Envelope: header})
	}
	return out, nil
}
