package sink

import (
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

// sensors feeds what two sensors say to a copies.
type sensors struct {
	c     *copies
	ahead map[string]time.Duration
	now   proto.Time
}

func (s *sensors) say(sensor string, it proto.Item) (proto.Item, time.Duration) {
	b := proto.Batch{Site: "ward", Sensor: sensor, Domain: proto.LiveDomain}
	r := bus.Record{Time: s.now, Sent: s.now.Add(s.ahead[sensor])}
	by := s.c.mark(&b, &r, &it)
	return it, by
}

func (s *sensors) beat(at proto.Time) {
	s.now = at
	for _, name := range []string{"a", "b"} {
		s.say(name, proto.Item{Heartbeat: &proto.Heartbeat{Clock: at.Add(s.ahead[name])}})
	}
}

func partOf(n uint32, start, end proto.Time) proto.Item {
	return proto.Item{Flow: &proto.Flow{
		FlowID: proto.ID{9}, Part: n, Start: start, End: end, SrcPackets: 1,
		CommunityID: proto.CommunityID{7}, SrcEndpoint: proto.ID{1}, DstEndpoint: proto.ID{2},
	}}
}

func arpAt(at proto.Time) proto.Item {
	return proto.Item{Observation: &proto.Observation{Time: at, Protocol: "arp", Kind: "request", Endpoint: proto.ID{1}}}
}

// TestRowsAreMarkedAndMoved: as the folds do it, and a restart goes on as before.
func TestRowsAreMarkedAndMoved(t *testing.T) {
	at := proto.TimeOf(time.Date(2026, 11, 18, 12, 0, 0, 0, time.UTC))
	s := &sensors{c: newCopies(), ahead: map[string]time.Duration{"b": time.Hour}}
	s.beat(at)
	mine, by := s.say("a", partOf(0, at, at.Add(time.Second)))
	if mine.Flow.DuplicateOfSensor != "" || by != 0 {
		t.Errorf("the first report is a copy of %q, moved by %v", mine.Flow.DuplicateOfSensor, by)
	}
	theirs, by := s.say("b", partOf(0, at.Add(time.Hour), at.Add(time.Hour+time.Second)))
	if f := theirs.Flow; f.DuplicateOfSensor != "a" || f.Start != at || f.End != at.Add(time.Second) || by != -time.Hour {
		t.Errorf("the second report is a copy of %q, from %v to %v, moved by %v", f.DuplicateOfSensor, f.Start, f.End, by)
	}
	s.say("a", arpAt(at))
	if o, by := s.say("b", arpAt(at.Add(time.Hour))); o.Observation.DuplicateOfSensor != "a" || o.Observation.Time != at || by != -time.Hour {
		t.Errorf("the second observation is %+v, moved by %v", o.Observation, by)
	}
	s.say("a", arpAt(at.Add(time.Second)))

	s.c = newCopies()
	s.c.restore(&store.Told{
		Sensors: []store.Sensor{{Site: "ward", Name: "a", Last: at, Clock: at}, {Site: "ward", Name: "b", Last: at, Clock: at, ClockOffset: -time.Hour}},
		Counted: []store.Counted{{Site: "ward", Sensor: "a", Flow: *partOf(0, at, at.Add(time.Second)).Flow}},
		Contents: []store.Content{
			{Site: "ward", Sensor: "a", Observation: *arpAt(at).Observation, Attributes: "{}", Count: 2},
			{Site: "ward", Sensor: "b", Observation: *arpAt(at).Observation, Attributes: "{}", Count: 1},
		},
	})
	if it, by := s.say("b", partOf(0, at.Add(time.Hour), at.Add(time.Hour+time.Second))); it.Flow.DuplicateOfSensor != "a" || by != -time.Hour {
		t.Errorf("after a restart the copy is of %q, moved by %v", it.Flow.DuplicateOfSensor, by)
	}
	if it, _ := s.say("b", arpAt(at.Add(time.Hour+time.Second))); it.Observation.DuplicateOfSensor != "a" {
		t.Errorf("after a restart the observation is a copy of %q", it.Observation.DuplicateOfSensor)
	}
	if it, _ := s.say("b", arpAt(at.Add(time.Hour+2*time.Second))); it.Observation.DuplicateOfSensor != "" {
		t.Errorf("what the other has not told is a copy of %q", it.Observation.DuplicateOfSensor)
	}
	if it, _ := s.say("b", partOf(1, at.Add(time.Hour+time.Minute), at.Add(time.Hour+time.Minute))); it.Flow.DuplicateOfSensor != "" {
		t.Errorf("the next part is a copy of %q", it.Flow.DuplicateOfSensor)
	}
}
