package sink

import (
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

type noRows struct{}

func (noRows) add(*bus.Record, store.Coordinates, keepFunc, deadFunc) {}
func (noRows) blocks() []*store.Block                                 { return nil }

// A small topic's rows wait for one another while more come, and for nothing when
// no more come.
func TestDue(t *testing.T) {
	const interval = 500 * time.Millisecond
	for _, c := range []struct {
		name                 string
		topic                string
		settled, begun, grew time.Duration // ago
		want                 bool
	}{
		{"traffic, young", proto.TopicTraffic, interval, interval / 2, 0, false},
		{"traffic, old", proto.TopicTraffic, interval, interval, 0, true},
		{"risk, more comes", proto.TopicRisk, interval, interval, interval / 2, false},
		{"risk, no more comes", proto.TopicRisk, interval, interval, interval, true},
		{"risk, more comes for long", proto.TopicRisk, calm * interval, interval, 0, true},
		{"risk, after a quiet time", proto.TopicRisk, time.Hour, interval / 2, interval / 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(1_800_000_000, 0)
			s := &Sink{cfg: Config{Interval: interval, BatchRows: 10}, now: func() time.Time { return now }}
			p := &partition{topic: c.topic, settledAt: now.Add(-c.settled)}
			p.building = &batch{begun: now.Add(-c.begun), grew: now.Add(-c.grew), rows: noRows{}}
			if got := p.due(s); got != c.want {
				t.Errorf("due: %v", got)
			}
		})
	}
}
