package sink

import (
	"fmt"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/geo"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

// rows builds the rows of one topic's records.
type rows interface {
	// add takes a record. It calls keep for each event with its producer's number,
	// in order, and makes a row only where keep says so; dead for each event that
	// cannot be used, with its index or -1. It makes no row of mirrors, heartbeats
	// and progress, which are numbered all the same.
	add(r *bus.Record, at store.Coordinates, keep keepFunc, dead deadFunc)
	blocks() []*store.Block
}

type (
	keepFunc func(producer string, seq uint64) bool
	deadFunc func(index int32, reason string)
)

// route is where a topic's events go.
type route struct {
	tables []string
	new    func(cfg *Config) (rows, error)
}

var routes = map[string]route{
	proto.TopicTraffic:    {[]string{store.Flows, store.Observations}, newTraffic},
	proto.TopicRollups:    {[]string{store.PairsHourly, store.ActivityHourly}, newRollups},
	proto.TopicBindings:   single(store.Bindings, proto.KindBinding),
	proto.TopicDevices:    single(store.Devices, proto.KindDevice),
	proto.TopicDetections: single(store.Detections, proto.KindDetection),
	proto.TopicAlerts:     single(store.Alerts, proto.KindAlert),
	proto.TopicRisk:       single(store.RiskHistory, proto.KindRisk),
	proto.TopicUsage:      single(store.Usage, proto.KindUsage),
	proto.TopicDeadletter: single(store.Deadletters, proto.KindDead),
	proto.TopicEdits:      ofPeople(store.Edits, proto.KindEdit),

	proto.TopicSensors:      single(store.Sensors, proto.KindSensor),
	proto.TopicSensorEvents: single(store.SensorEvents, proto.KindSensorEvent),
}

// Topics lists the topics that the sink reads.
func Topics() []string {
	return []string{
		proto.TopicTraffic, proto.TopicRollups, proto.TopicBindings, proto.TopicDevices,
		proto.TopicDetections, proto.TopicAlerts, proto.TopicRisk, proto.TopicUsage, proto.TopicDeadletter, proto.TopicEdits,
		proto.TopicSensors, proto.TopicSensorEvents,
	}
}

type traffic struct {
	flows        *store.FlowBlock
	observations *store.ObservationBlock
	batch        proto.Batch
	copies       *copies    // of the partition
	clock        proto.Time // least of the live sensors' clocks in it; 0: none spoke
}

func newTraffic(*Config) (rows, error) {
	return &traffic{flows: store.NewFlowBlock(), observations: store.NewObservationBlock()}, nil
}

func (t *traffic) blocks() []*store.Block {
	return []*store.Block{&t.flows.Block, &t.observations.Block}
}

func (t *traffic) add(r *bus.Record, at store.Coordinates, keep keepFunc, dead deadFunc) {
	if err := proto.Unmarshal(r.Value, &t.batch); err != nil {
		dead(-1, "malformed batch")
		return
	}
	at.Producer = t.batch.Producer
	for i := range t.batch.Items {
		it := &t.batch.Items[i]
		at.Index, at.Seq = int32(i), t.batch.FirstSeq+uint64(i)
		if !keep(at.Producer, at.Seq) {
			continue
		}
		if at.ClockOffset = t.copies.mark(&t.batch, r, it); it.Mirror {
			continue
		}
		switch {
		case it.Flow != nil:
			t.flows.Add(it.Flow, &at)
		case it.Observation != nil:
			t.observations.Add(it.Observation, &at)
		case it.Heartbeat != nil && t.batch.Domain == proto.LiveDomain && (t.clock == 0 || it.Heartbeat.Clock < t.clock):
			t.clock = it.Heartbeat.Clock
		}
	}
}

type rollups struct {
	pairs    *store.PairBlock
	activity *store.ActivityBlock
	places   func() *geo.Table
}

func newRollups(cfg *Config) (rows, error) {
	return &rollups{pairs: store.NewPairBlock(), activity: store.NewActivityBlock(), places: cfg.places()}, nil
}

// place is where the end on the Internet is: the server, or the client where that is the
// one outside. It is looked up when the row is made and stored with it, so that history
// says where an address was then.
func (t *rollups) place(p *proto.Pair) (at geo.Place) {
	if p.PeerID.IsZero() {
		at = t.places().Lookup(p.PeerIP)
	}
	if at == (geo.Place{}) && p.Endpoint.IsZero() {
		at = t.places().Lookup(p.ClientIP)
	}
	return at
}

func (t *rollups) blocks() []*store.Block {
	return []*store.Block{&t.pairs.Block, &t.activity.Block}
}

func (t *rollups) add(r *bus.Record, at store.Coordinates, keep keepFunc, dead deadFunc) {
	var env proto.Envelope
	if !envelope(r, &env, dead) {
		return
	}
	if env.Kind != proto.KindRollup {
		keep(env.Producer, env.Seq)
		return
	}
	var batch proto.RollupBatch
	if err := proto.Unmarshal(r.Value, &batch); err != nil {
		dead(-1, "malformed rollup batch")
		return
	}
	at.Producer = env.Producer
	for i := range batch.Rows {
		at.Index, at.Seq = int32(i), env.Seq+uint64(i)
		if !keep(at.Producer, at.Seq) {
			continue
		}
		switch row := &batch.Rows[i]; {
		case row.Pair != nil:
			t.pairs.Add(row.Pair, t.place(row.Pair), &at)
		case row.Activity != nil:
			t.activity.Add(row.Activity, &at)
		}
	}
}

type singles struct {
	kind  string
	block *store.RecordBlock
	// people: there are writers that number nothing. What they send again is another
	// record with a row of its own; the table is one that an insert again does not change.
	people bool
}

func single(table, kind string) route {
	return route{[]string{table}, func(*Config) (rows, error) {
		b, err := store.NewRecordBlock(table)
		if err != nil {
			return nil, fmt.Errorf("prepare rows: %w", err)
		}
		return &singles{kind: kind, block: b}, nil
	}}
}

// ofPeople is a topic of single events to which people write.
func ofPeople(table, kind string) route {
	r := single(table, kind)
	made := r.new
	r.new = func(cfg *Config) (rows, error) {
		all, err := made(cfg)
		if s, ok := all.(*singles); ok {
			s.people = true
		}
		return all, err
	}
	return r
}

func (s *singles) blocks() []*store.Block { return []*store.Block{&s.block.Block} }

func (s *singles) add(r *bus.Record, at store.Coordinates, keep keepFunc, dead deadFunc) {
	var env proto.Envelope
	if s.people && len(r.Envelope) > 0 && env.Parse(r.Envelope) == nil && env.Producer == "" {
		if env.Kind != s.kind {
			return
		}
	} else if !envelope(r, &env, dead) || !keep(env.Producer, env.Seq) || env.Kind != s.kind {
		return
	}
	at.Producer, at.Seq = env.Producer, env.Seq
	if err := s.block.Add(&store.Record{Key: r.Key, Value: r.Value, Envelope: env, Sent: r.Sent, At: at}); err != nil {
		dead(-1, err.Error())
	}
}

func envelope(r *bus.Record, env *proto.Envelope, dead deadFunc) bool {
	switch {
	case len(r.Envelope) == 0:
		dead(-1, "no envelope")
	case env.Parse(r.Envelope) != nil:
		dead(-1, "malformed envelope")
	case env.Kind == proto.KindProgress: // numbered by nothing: it only ever moves forward
	case env.Seq == 0 || env.Producer == "":
		dead(-1, "envelope without producer or number")
	default:
		return true
	}
	return false
}
