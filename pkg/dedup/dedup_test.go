package dedup_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/dedup"
	"github.com/wardflow/wardflow/proto"
)

var noon = proto.TimeOf(time.Date(2026, 11, 18, 12, 0, 0, 0, time.UTC))

func at(seconds float64) proto.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

// bench is a site with its tables open to view.
type bench struct {
	*dedup.Site
	rule  *dedup.Rule
	flows dedup.Memory[dedup.Conversation]
	facts dedup.Memory[dedup.Fact]
}

func newBench(most int) *bench {
	b := &bench{flows: dedup.Memory[dedup.Conversation]{}, facts: dedup.Memory[dedup.Fact]{}}
	b.rule = dedup.NewRule(b.flows, b.facts, most)
	b.Site = dedup.NewSite("ward", proto.LiveDomain, b.rule)
	return b
}

// beat lets sensors beat, at seconds, with clocks that are right.
func (b *bench) beat(seconds float64, sensors ...string) {
	for _, s := range sensors {
		b.Beat(s, at(seconds), at(seconds), at(seconds))
		b.Drop()
	}
}

// part makes part n of flow id, between the same two ends.
func part(id byte, n uint32, start, end float64, final bool) *proto.Flow {
	return &proto.Flow{
		FlowID: proto.HashID("flow", []byte{id}), Part: n, Final: final, Start: at(start), End: at(end), SrcPackets: 1, DstPackets: 1,
		CommunityID: proto.CommunityID{7}, SrcEndpoint: proto.ID{1}, DstEndpoint: proto.ID{2},
	}
}

func nothing(f *proto.Flow) *proto.Flow {
	f.SrcPackets, f.DstPackets = 0, 0
	return f
}

func TestFlows(t *testing.T) {
	type step struct {
		sensor string
		f      *proto.Flow
		want   string // the sensor whose report counts; "" when this one does
	}
	for name, steps := range map[string][]step{
		"exact copies": {
			{"a", part(1, 0, 0, 60, false), ""},
			{"b", part(1, 0, 0, 60, false), "a"},
			{"b", part(1, 1, 61, 90, true), ""},
			{"a", part(1, 1, 61, 90, true), "b"},
		},
		"the owner dies, and nothing of what follows is lost": {
			{"a", part(1, 0, 0, 60, false), ""},
			{"b", part(1, 0, 0, 60, false), "a"},
			{"b", part(1, 1, 60.1, 120, false), ""},
			{"b", part(1, 2, 120.1, 180, true), ""},
		},
		"out of a spool, after another has told it": {
			{"a", part(1, 0, 0, 60, false), ""},
			{"b", part(1, 0, 0, 60, false), "a"},
			{"b", part(1, 1, 61, 119, false), ""},
			{"b", part(1, 2, 121, 130, true), ""},
			{"a", part(1, 1, 61, 119, false), "b"},
			{"a", part(1, 2, 121, 130, true), "b"},
		},
		"a clock that is 50 s off, and short parts": {
			{"a", part(1, 0, 0, 0.1, false), ""},
			{"b", part(1, 0, 50, 50.1, false), "a"},
			{"b", part(1, 1, 120, 120.1, true), ""},
			{"a", part(1, 1, 70, 70.1, true), "b"},
		},
		"begun later, so that the parts are cut elsewhere": {
			{"a", part(1, 0, 0, 60, false), ""},
			{"b", part(2, 0, 30, 89, false), "a"},
			{"a", part(1, 1, 60.5, 120, false), ""},
			{"b", part(2, 1, 90, 149, false), "a"},
			{"b", part(2, 2, 150, 209, false), ""}, // a is dead: the part that overlaps its last is lost
		},
		"the clocks differ, and the flows are cut differently": {
			{"a", part(1, 0, 0, 1, true), ""},
			{"b", part(2, 0, 9, 10, true), "a"},
			{"b", part(3, 0, 12, 13, true), ""},
		},
		"ports used again, told by both": {
			{"a", part(1, 0, 0, 1, true), ""},
			{"b", part(1, 0, 0, 1, true), "a"},
			{"b", part(2, 0, 2, 3, true), ""},
			{"a", part(2, 0, 2, 3, true), "b"},
		},
		"a sensor alone with what it sees": {
			{"a", part(1, 0, 0, 60, false), ""}, {"a", part(2, 0, 30, 60, false), ""}, {"a", part(1, 1, 60, 90, true), ""},
		},
		"out of a spool, from before the other had begun": {
			{"a", part(2, 0, 100, 160, false), ""},
			{"b", part(1, 0, 20, 79, false), ""},
			{"b", part(1, 1, 95, 150, false), "a"},
			{"a", part(2, 1, 161, 170, true), ""},
		},
		"a flow's end that counts nothing leaves nothing": {
			{"a", nothing(part(1, 3, 0, 0, true)), ""},
			{"b", part(2, 0, 1, 2, true), ""},
		},
		"an end after a long silence": {
			{"a", part(1, 0, 0, 1, false), ""},
			{"b", part(1, 0, 0, 1, false), "a"},
			{"b", nothing(part(1, 1, 1, 1, true)), ""},
			{"", part(0, 0, 301, 301, false), ""},
			{"a", nothing(part(1, 1, 1, 1, true)), "b"},
		},
		"a sensor that cuts its parts shorter": {
			{"a", part(1, 0, 0, 60, false), ""}, {"b", part(1, 1, 30, 60, false), "a"}, {"b", part(1, 2, 61, 90, false), ""},
		},
		"the numbers are not believed for ever": {
			{"a", part(1, 9, 0, 60, false), ""}, {"b", part(1, 3, 100, 119, false), "a"}, {"b", part(1, 4, 151, 200, false), ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(0)
			b.beat(0, "a", "b")
			for i, s := range steps {
				if s.sensor == "" { // time goes on
					b.beat(s.f.Start.Sub(noon).Seconds(), "a", "b")
					continue
				}
				if got := b.Flow(s.f, s.sensor, false); got != s.want {
					t.Errorf("step %d: part %d of %s is a copy of %q, want %q", i, s.f.Part, s.sensor, got, s.want)
				}
			}
		})
	}
}

// The copy on the server's lane is decided on its own, as it lies in another
// partition mostly; and a flow that another sensor saw from its other end is met there.
func TestLanesAreApart(t *testing.T) {
	b := newBench(0)
	b.beat(0, "a", "b")
	f := part(1, 0, 0, 60, false)
	if b.Flow(f, "a", false) != "" || b.Flow(f, "b", true) != "" || b.Flow(f, "a", true) != "b" || b.Flow(f, "b", false) != "a" {
		t.Error("a lane's decision was taken for the other's")
	}
	swapped := part(2, 0, 1, 50, false)
	swapped.SrcEndpoint, swapped.DstEndpoint = f.DstEndpoint, f.SrcEndpoint
	if got := b.Flow(swapped, "a", false); got != "b" {
		t.Errorf("the server's side of a flow that began with the server is a copy of %q", got)
	}
}

// A site with one sensor keeps nothing, and one that was alone keeps nothing of before.
func TestOneSensorPaysNothing(t *testing.T) {
	b := newBench(0)
	b.beat(0, "a")
	for i := range 100 {
		b.Flow(part(byte(i), 0, float64(i), float64(i)+1, false), "a", false)
		b.Observation(observation("x", float64(i)), "a")
	}
	if len(b.flows)+len(b.facts) != 0 {
		t.Errorf("%d flows and %d facts are kept", len(b.flows), len(b.facts))
	}
	b.beat(100, "a", "b")
	b.Flow(part(1, 0, 100, 101, false), "a", false)
	if len(b.flows) != 1 {
		t.Error("with two sensors nothing is kept: the test sees nothing")
	}
	b.beat(101, "a")
	b.beat(101+dedup.Forget.Seconds()+1, "a")
	b.Flow(part(2, 0, 1100, 1101, false), "a", false)
	if len(b.flows) > 0 || b.Several() {
		t.Errorf("a sensor that went long ago still costs: %d flows", len(b.flows))
	}
}

func observation(value string, seconds float64) *proto.Observation {
	o := &proto.Observation{Time: at(seconds), Protocol: "arp", Kind: "request", Endpoint: proto.ID{1}}
	o.Attributes.Set("v", value)
	return o
}

func TestObservations(t *testing.T) {
	b := newBench(0)
	b.beat(0, "a", "b")
	tell := func(sensor, value string, seconds float64, want string) {
		t.Helper()
		if got := b.Observation(observation(value, seconds), sensor); got != want {
			t.Errorf("%q at %v of %s is a copy of %q, want %q", value, seconds, sensor, got, want)
		}
	}
	tell("a", "x", 1, "")
	tell("a", "x", 2, "")
	tell("b", "x", 1, "a")
	tell("b", "x", 2, "a")
	tell("b", "x", 3, "") // a is dead: nothing of what follows is lost
	tell("b", "x", 4, "")
	tell("a", "x", 3, "b") // it was not: out of its spool
	tell("a", "x", 4, "b")
	tell("b", "y", 5, "") // a has lost this one: another content
	tell("a", "z", 5, "")
	tell("b", "x", 61, "") // another minute
	if len(b.facts) != 3 {
		t.Errorf("%d contents are kept, want the three that one sensor alone has told", len(b.facts))
	}
}

// What both have told to its end is forgotten at once, the rest when the slower
// sensor's clock has passed it, so that its spool can still be known.
func TestForgetting(t *testing.T) {
	b := newBench(0)
	b.beat(0, "a", "b")
	b.Flow(part(1, 0, 0, 1, true), "a", false)
	b.Flow(part(1, 0, 0, 1, true), "b", false)
	if len(b.flows) != 0 {
		t.Errorf("%d conversations are kept that both have told", len(b.flows))
	}
	b.Flow(part(2, 0, 2, 3, true), "a", false)
	b.Observation(observation("x", 2), "a")
	b.beat(300, "a")
	if len(b.flows) != 1 || len(b.facts) != 1 {
		t.Fatalf("%d, %d are kept while the other sensor is away", len(b.flows), len(b.facts))
	}
	if got := b.Flow(part(2, 0, 2, 3, true), "b", false); got != "a" {
		t.Errorf("a spooled copy is %q", got)
	}
	b.Flow(part(2, 0, 2, 3, true), "a", false)
	for s := 0.0; s <= 600; s += 10 {
		b.beat(s, "a", "b")
	}
	if len(b.flows) != 0 || len(b.facts) != 0 || b.rule.Kept() != 0 {
		t.Errorf("%d, %d are kept for ever, the rule thinks %d", len(b.flows), len(b.facts), b.rule.Kept())
	}
}

// TestKeptIsBounded: beyond the bound the oldest goes, and is counted.
func TestKeptIsBounded(t *testing.T) {
	b := newBench(100)
	b.beat(0, "a", "b")
	for i := range 1000 {
		f := part(1, 0, float64(i), float64(i)+1, true)
		binary.BigEndian.PutUint16(f.CommunityID[:], uint16(i+1))
		b.Flow(f, "a", false)
		b.Observation(observation(fmt.Sprint(i), float64(i)), "a")
		if n := len(b.flows) + len(b.facts); n > 100 || n != b.rule.Kept() {
			t.Fatalf("%d are kept, the rule thinks %d", n, b.rule.Kept())
		}
	}
	if n := b.rule.Counts.Forgotten; n < 1000 {
		t.Errorf("%d are counted as forgotten, %d are kept", n, b.rule.Kept())
	}
}

// TestLoadIsAsBefore: a rule over a table that is there already goes on as the one
// that made it.
func TestLoadIsAsBefore(t *testing.T) {
	b := newBench(0)
	b.beat(0, "a", "b")
	for i := range 50 {
		b.Flow(part(byte(i), 0, float64(i), float64(i), i%2 == 0), "a", false)
		b.Observation(observation("x", float64(i*10)), "a")
	}
	again := &bench{flows: b.flows, facts: b.facts}
	again.rule = dedup.NewRule(b.flows, b.facts, 0)
	again.Site = dedup.NewSite("ward", proto.LiveDomain, again.rule)
	again.Sensors = b.Sensors
	for k, v := range b.flows {
		again.rule.LoadFlow(k, v)
	}
	for k, v := range b.facts {
		again.rule.LoadFact(k, v)
	}
	if again.rule.Kept() != b.rule.Kept() {
		t.Errorf("%d are kept, want %d", again.rule.Kept(), b.rule.Kept())
	}
	for s := 1.0; s < 1200; s += 5 {
		again.beat(s, "a", "b")
	}
	if len(b.flows)+len(b.facts) != 0 {
		t.Errorf("%d are never forgotten", len(b.flows)+len(b.facts))
	}
}

// TestRestore: what the sink reads back from its rows.
func TestRestore(t *testing.T) {
	b := newBench(0)
	b.beat(0, "a", "b")
	b.RestoreFlow(part(1, 2, 0, 60, false), "a")
	b.RestoreFact(observation("x", 0), `{"v":"x"}`, "a", 2)
	b.RestoreFact(observation("x", 0), `{"v":"x"}`, "b", 1)
	if got := b.Flow(part(1, 2, 0, 60, false), "b", false); got != "a" {
		t.Errorf("a restored conversation's copy is %q", got)
	}
	if got := b.Flow(part(1, 3, 61, 70, false), "b", false); got != "" {
		t.Errorf("what follows is a copy of %q", got)
	}
	if got := b.Observation(observation("x", 3), "b"); got != "a" {
		t.Errorf("a restored content's copy is %q", got)
	}
	if got := b.Observation(observation("x", 4), "b"); got != "" {
		t.Errorf("what a has not told is a copy of %q", got)
	}
	if b.rule.Counts.Copies != 2 {
		t.Errorf("%d copies are counted", b.rule.Counts.Copies)
	}
}
