package sink

import (
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/dedup"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

// lately is how far back a partition's rows are looked at to know again what
// counts: longer than anything is kept while all sensors are heard.
const lately = 10 * time.Minute

// copies finds copies in a partition of wardflow.traffic, and sets right the times
// of sensors whose clock is off, by the rule that the folds go by (pkg/dedup) and
// in the same order. A nil one finds none.
type copies struct {
	rule  *dedup.Rule
	sites map[[2]string]*dedup.Site // by site and domain
	key   [2]string                 // of last
	last  *dedup.Site               // asked for last
}

func newCopies() *copies {
	return &copies{
		rule:  dedup.NewRule(dedup.Memory[dedup.Conversation]{}, dedup.Memory[dedup.Fact]{}, 0),
		sites: map[[2]string]*dedup.Site{},
	}
}

func (c *copies) site(site, domain string) *dedup.Site {
	k := [2]string{site, domain}
	if c.last != nil && c.key == k {
		return c.last
	}
	s := c.sites[k]
	if s == nil {
		s = dedup.NewSite(site, domain, c.rule)
		c.sites[k] = s
	}
	c.key, c.last = k, s
	return s
}

// restore takes up what the rows say. Of the sensors they say less than heartbeats
// do: those are read again within a second, and until then a sensor counts as heard
// when its last row came.
func (c *copies) restore(t *store.Told) {
	for _, o := range t.Sensors {
		s := c.site(o.Site, proto.LiveDomain)
		s.Beat(o.Name, o.Clock.Add(-o.ClockOffset), o.Last.Add(-o.ClockOffset), o.Last)
	}
	for i := range t.Counted {
		o := &t.Counted[i]
		c.site(o.Site, proto.LiveDomain).RestoreFlow(&o.Flow, o.Sensor)
	}
	for i := range t.Contents {
		o := &t.Contents[i]
		c.site(o.Site, proto.LiveDomain).RestoreFact(&o.Observation, o.Attributes, o.Sensor, o.Count)
	}
}

// mark takes an item of a batch in its place: what it says of clocks and of copies
// is written into it. It gives by how much its times were moved.
func (c *copies) mark(b *proto.Batch, r *bus.Record, it *proto.Item) time.Duration {
	if c == nil {
		return 0
	}
	s := c.site(b.Site, b.Domain)
	if h := it.Heartbeat; h != nil {
		s.Beat(b.Sensor, h.Clock, r.Sent, r.Time)
		s.Drop()
		return 0
	}
	s.Hear(b.Sensor, r.Sent, r.Time)
	var shift time.Duration
	switch {
	case it.Flow != nil:
		shift = s.Shift(b.Sensor, it.Flow.End, r.Time)
		it.Flow.Shift(shift)
		it.Flow.DuplicateOfSensor = s.Flow(it.Flow, b.Sensor, it.Mirror)
	case it.Observation != nil:
		shift = s.Shift(b.Sensor, it.Observation.Time, r.Time)
		it.Observation.Time = it.Observation.Time.Add(shift)
		it.Observation.DuplicateOfSensor = s.Observation(it.Observation, b.Sensor)
	}
	return shift
}
