package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

// told builds the rows of one partition that Told reads.
type told struct {
	flows *store.FlowBlock
	facts *store.ObservationBlock
	next  int64
}

func (b *told) place(site, sensor string, at proto.Time, offset time.Duration) *store.Coordinates {
	b.next++
	return &store.Coordinates{Generation: 1, Partition: 5, Offset: b.next, Time: at, Producer: "live:" + site + "/" + sensor, Seq: uint64(b.next), ClockOffset: offset}
}

func (b *told) flow(site, sensor, copyOf string, part uint32, final bool, from, to time.Duration, offset time.Duration) {
	f := proto.Flow{
		FlowID: proto.ID{9}, Part: part, Final: final, Site: site, Sensor: sensor, Start: noon.Add(from), End: noon.Add(to),
		CommunityID: proto.CommunityID{7}, SrcEndpoint: proto.ID{1}, DstEndpoint: proto.ID{2}, DuplicateOfSensor: copyOf,
	}
	b.flows.Add(&f, b.place(site, sensor, noon.Add(to), offset))
}

func (b *told) fact(site, sensor, copyOf string, at, offset time.Duration) {
	o := proto.Observation{Time: noon.Add(at), Site: site, Sensor: sensor, Protocol: "arp", Kind: "request", Endpoint: proto.ID{1}, DuplicateOfSensor: copyOf}
	o.Attributes.Set("v", "x")
	b.facts.Add(&o, b.place(site, sensor, noon.Add(at), offset))
}

// TestTold: what the sink knows again from its rows, of sites with several sensors,
// before an offset, lately.
func TestTold(t *testing.T) {
	s := migrated(t)
	b := &told{flows: store.NewFlowBlock(), facts: store.NewObservationBlock()}
	b.flow("two", "old", "", 0, false, -2*time.Hour, -2*time.Hour, 0) // long ago
	b.flow("alone", "a", "", 0, false, 0, time.Minute, 0)
	b.flow("two", "a", "", 0, false, 0, 59*time.Second, 0)
	b.flow("two", "b", "a", 0, false, 0, 58*time.Second, -time.Hour)
	b.flow("two", "b", "", 1, true, 61*time.Second, 90*time.Second, -time.Hour)
	b.flow("off", "a", "", 0, false, 0, 30*time.Second, time.Hour)
	b.fact("two", "a", "", time.Second, 0)
	b.fact("two", "a", "", 2*time.Second, 0)
	b.fact("two", "b", "a", 2*time.Second, -time.Hour)
	before := b.next + 1
	b.flow("two", "b", "", 2, true, 95*time.Second, 100*time.Second, 0) // beyond the offset
	insert(t, s, &b.flows.Block, "flows")
	insert(t, s, &b.facts.Block, "facts")
	got, err := s.Told(context.Background(), 1, 5, before, 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	sensors := map[string]store.Sensor{}
	for _, o := range got.Sensors {
		sensors[o.Site+"/"+o.Name] = o
	}
	if len(sensors) != 3 || sensors["two/b"].ClockOffset != -time.Hour || sensors["off/a"].ClockOffset != time.Hour || sensors["two/a"].ClockOffset != 0 ||
		sensors["two/b"].Last != noon.Add(90*time.Second) || sensors["two/a"].Clock != noon.Add(59*time.Second) {
		t.Errorf("sensors %+v", got.Sensors)
	}
	n := 0
	for _, c := range got.Counted {
		if c.Site != "two" {
			continue
		}
		n++
		if f := c.Flow; c.Sensor != "b" || f.FlowID != (proto.ID{9}) || f.Part != 1 || !f.Final || f.SrcEndpoint != (proto.ID{1}) || f.CommunityID != (proto.CommunityID{7}) ||
			f.Start != noon || f.End != noon.Add(90*time.Second) {
			t.Errorf("counted %+v", c)
		}
	}
	if n != 1 {
		t.Errorf("%d conversations of the site with two sensors", n)
	}
	counts := map[string]uint64{}
	for _, c := range got.Contents {
		counts[c.Sensor] = c.Count
		if o := c.Observation; c.Site != "two" || o.Time != noon || o.Endpoint != (proto.ID{1}) || o.Protocol != "arp" || o.Kind != "request" || c.Attributes != `{"v":"x"}` {
			t.Errorf("content %+v", c)
		}
	}
	if len(counts) != 2 || counts["a"] != 2 || counts["b"] != 1 {
		t.Errorf("contents are counted as %v", counts)
	}
	if none, err := s.Told(context.Background(), 1, 6, 100, 10*time.Minute); err != nil || len(none.Sensors)+len(none.Counted)+len(none.Contents) != 0 {
		t.Errorf("an empty partition told %+v, %v", none, err)
	}
}
