package stream

import (
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// markFold is a fold that puts down how it was given what it reads.
type markFold struct{ got *[]string }

func (markFold) Name() string              { return "marks" }
func (markFold) Inputs() []Input           { return []Input{{Topic: proto.TopicTraffic}} }
func (markFold) Progress() []ProgressTo    { return nil }
func (markFold) Fire(*Tx, Timer)           {}
func (markFold) Sweep(*Tx, string, []byte) {}
func (m markFold) Apply(_ *Tx, ev *Event) {
	switch v := ev.Msg.(type) {
	case *proto.Flow:
		*m.got = append(*m.got, v.Sensor+":"+v.DuplicateOfSensor)
	case *proto.Observation:
		*m.got = append(*m.got, v.Sensor+":"+v.DuplicateOfSensor)
	}
}

// copiesRun feeds two sensors' batches to a partition over a store.
type copiesRun struct {
	t    *testing.T
	db   *DB
	p    *Partition
	got  []string
	next int64
	seq  map[string]uint64
	most int
}

func (r *copiesRun) open() {
	p, err := OpenPartition(markFold{&r.got}, 0, Options{Store: r.db, MaxKept: r.most})
	if err != nil {
		r.t.Fatal(err)
	}
	r.p = p
}

// say offers one batch of a live sensor that begins with a heartbeat, and runs it.
func (r *copiesRun) say(sensor string, at proto.Time, items ...proto.Item) {
	r.t.Helper()
	items = append([]proto.Item{{Heartbeat: &proto.Heartbeat{Clock: at}}}, items...)
	b := proto.Batch{Site: "ward", Sensor: sensor, Producer: "live:" + sensor, Domain: proto.LiveDomain, FirstSeq: r.seq[sensor] + 1, Items: items}
	r.seq[sensor] += uint64(len(items))
	val, err := proto.Marshal(&b)
	if err != nil {
		r.t.Fatal(err)
	}
	r.p.Offer(Record{Topic: proto.TopicTraffic, Offset: r.next, Time: at, Sent: at, Value: val})
	r.next++
	r.p.Run(1<<20, 1, time.Time{})
	if err := r.p.Err(); err != nil {
		r.t.Fatal(err)
	}
}

// kept is how many values of the rule a store has.
func (r *copiesRun) kept() (n int) {
	for _, id := range []byte{idFlows, idFacts} {
		if err := r.db.Each(0, []byte{id}, func(_, _ []byte) bool { n++; return true }); err != nil {
			r.t.Fatal(err)
		}
	}
	return n
}

func flowOf(id byte, start, end proto.Time, final bool) proto.Item {
	return proto.Item{Flow: &proto.Flow{
		FlowID: proto.ID{id}, Final: final, Start: start, End: end, SrcPackets: 1,
		CommunityID: proto.CommunityID{id}, SrcEndpoint: proto.ID{1}, DstEndpoint: proto.ID{2},
	}}
}

func newCopiesRun(t *testing.T) *copiesRun {
	r := &copiesRun{t: t, db: openDB(t), seq: map[string]uint64{}}
	r.open()
	return r
}

// TestCopiesOutliveARestart: what is kept to know copies by is state like any
// other, and goes when its time is over, whoever has the partition then.
func TestCopiesOutliveARestart(t *testing.T) {
	at := proto.TimeOf(time.Date(2026, 11, 18, 12, 0, 0, 0, time.UTC))
	r := newCopiesRun(t)
	r.say("a", at)
	r.say("b", at)
	r.say("a", at, flowOf(1, at, at, true), proto.Item{Observation: &proto.Observation{Time: at, Endpoint: proto.ID{1}, Protocol: "arp", Kind: "request"}})
	commit(t, r.db, r.p)
	if n := r.kept(); n != 2 {
		t.Fatalf("%d values are kept", n)
	}
	r.open()
	r.say("b", at, flowOf(1, at, at, true), proto.Item{Observation: &proto.Observation{Time: at, Endpoint: proto.ID{1}, Protocol: "arp", Kind: "request"}})
	commit(t, r.db, r.p)
	if want := []string{"a:", "a:", "b:a", "b:a"}; len(r.got) != 4 || r.got[2] != want[2] || r.got[3] != want[3] {
		t.Errorf("marks %q, want %q", r.got, want)
	}
	if n := r.kept(); n != 0 {
		t.Errorf("%d values are kept that both have told", n)
	}
	r.say("a", at, flowOf(2, at, at, false))
	commit(t, r.db, r.p)
	r.open() // and its time is known to whoever opens the state
	for s := 10; s < 500; s += 10 {
		r.say("a", at.Add(time.Duration(s)*time.Second))
		r.say("b", at.Add(time.Duration(s)*time.Second))
	}
	commit(t, r.db, r.p)
	if n := r.kept(); n != 0 {
		t.Errorf("%d values are kept for ever", n)
	}
	r.open()
	if got := r.p.clockOf("ward", proto.LiveDomain).sensors.Passed; got != at.Add(490*time.Second) {
		t.Errorf("after a restart %v is thought to have passed", got)
	}
}

// TestChangelogOfCopies says what a second sensor costs: nothing where both tell
// within one transaction.
func TestChangelogOfCopies(t *testing.T) {
	at := proto.TimeOf(time.Date(2026, 11, 18, 12, 0, 0, 0, time.UTC))
	size := func(second bool, apart bool) (bytes int) {
		r := newCopiesRun(t)
		r.say("a", at)
		r.say("b", at)
		commit(t, r.db, r.p)
		const flows = 100
		add := func() {
			for _, c := range commit(t, r.db, r.p).Changes {
				if c.Key[0] == idFlows || c.Key[0] == idFacts {
					bytes += len(c.log) + len(c.Value)
				}
			}
		}
		for i := range flows {
			r.say("a", at, flowOf(byte(i), at, at, true))
		}
		if apart {
			add()
		}
		for i := range flows {
			if second {
				r.say("b", at, flowOf(byte(i), at, at, true))
			}
		}
		add()
		return bytes / flows
	}
	if n := size(true, false); n != 0 {
		t.Errorf("%d bytes of changelog a flow that both tell at once", n)
	}
	one, apart := size(false, false), size(true, true)
	t.Logf("a flow that one of two sensors sees costs %d bytes of changelog and later a deletion; one that both tell, in different transactions, %d", one, apart)
	if one == 0 || one > 80 || apart > 100 {
		t.Errorf("%d and %d bytes of changelog a flow", one, apart)
	}
}

// TestHeaderOfABatch: a clock that was put back says none for long; the batch's
// header tells, and that is known after a restart.
func TestHeaderOfABatch(t *testing.T) {
	at := proto.TimeOf(time.Date(2026, 11, 18, 12, 0, 0, 0, time.UTC))
	r := newCopiesRun(t)
	r.say("a", at)
	commit(t, r.db, r.p)
	back := at.Add(-time.Hour)
	b := proto.Batch{Site: "ward", Sensor: "a", Producer: "live:a", Domain: proto.LiveDomain, FirstSeq: 9, Items: []proto.Item{flowOf(1, back, back, true)}}
	val, err := proto.Marshal(&b)
	if err != nil {
		t.Fatal(err)
	}
	var stats Stats
	r.p.stats = &stats
	r.p.Offer(Record{Topic: proto.TopicTraffic, Offset: r.next, Time: at, Sent: back, Value: val})
	r.p.Run(10, 1, time.Time{})
	if stats.SuspectClock != 1 {
		t.Errorf("%d events were moved", stats.SuspectClock)
	}
	commit(t, r.db, r.p)
	r.open()
	if s := r.p.clockOf("ward", proto.LiveDomain).sensors.List; len(s) != 1 || !s[0].Suspect || s[0].Offset != time.Hour {
		t.Errorf("after a restart the sensor is %+v", s)
	}
}
