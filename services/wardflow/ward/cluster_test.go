package ward_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/anomaly"
	"github.com/wardflow/wardflow/services/fingerprint"
	"github.com/wardflow/wardflow/services/risk"
)

// memory is a partition's committed state.
type memory struct{ m map[string]string }

func (m *memory) Get(_ int32, key []byte) ([]byte, bool, error) {
	v, ok := m.m[string(key)]
	return []byte(v), ok, nil
}

func (m *memory) Each(_ int32, prefix []byte, f func(key, val []byte) bool) error {
	var keys []string
	for k := range m.m {
		if strings.HasPrefix(k, string(prefix)) {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	for _, k := range keys {
		if !f([]byte(k), []byte(m.m[k])) {
			return nil
		}
	}
	return nil
}

// unit is one fold on one partition.
type unit struct {
	fold  stream.Fold
	id    int32
	store *memory
	p     *stream.Partition
	read  map[string]int // records offered, by topic
}

// cluster runs the folds on several partitions, with topics in memory, and forgets
// all but the committed state after each commit.
type cluster struct {
	t      *testing.T
	n      int32
	topics map[string][][]stream.Record
	units  []*unit
	out    []stream.Emitted
	steps  int // events between commits
}

func newCluster(t *testing.T, n int32, steps int) *cluster {
	c := &cluster{t: t, n: n, steps: steps, topics: map[string][][]stream.Record{}}
	for _, f := range append(fingerprint.Folds(fingerprint.Config{}), anomaly.New(anomaly.Config{}), risk.New(risk.Config{})) {
		for id := range n {
			u := &unit{fold: f, id: id, store: &memory{m: map[string]string{}}}
			c.open(u)
			c.units = append(c.units, u)
		}
	}
	return c
}

func (c *cluster) open(u *unit) {
	p, err := stream.OpenPartition(u.fold, u.id, stream.Options{Store: u.store})
	if err != nil {
		c.t.Fatal(err)
	}
	u.p, u.read = p, map[string]int{}
}

func (c *cluster) publish(topic string, partition int32, r stream.Record) {
	if c.topics[topic] == nil {
		c.topics[topic] = make([][]stream.Record, c.n)
	}
	list := &c.topics[topic][partition]
	r.Topic, r.Partition, r.Offset = topic, partition, int64(len(*list))
	*list = append(*list, r)
}

// work lets every unit do some events and commit, until none has anything to do.
func (c *cluster) work() {
	for busy := true; busy; {
		busy = false
		for _, u := range c.units {
			busy = c.step(u) || busy
		}
	}
}

func (c *cluster) step(u *unit) bool {
	for _, in := range u.fold.Inputs() {
		if c.topics[in.Topic] == nil {
			continue
		}
		for _, r := range c.topics[in.Topic][u.id][u.read[in.Topic]:] {
			u.p.Offer(r)
			u.read[in.Topic]++
		}
	}
	did := u.p.Run(c.steps, int(c.n), time.Time{})
	commit, err := u.p.Prepare(0)
	if err != nil {
		c.t.Fatal(err)
	}
	if commit == nil || (did == 0 && len(commit.Outputs) == 0 && len(commit.Progress) == 0) {
		return false
	}
	before := u.store.m[string(stream.MarkKey)]
	for _, ch := range commit.Changes {
		if ch.Value == nil {
			delete(u.store.m, string(ch.Key))
		} else {
			u.store.m[string(ch.Key)] = string(ch.Value)
		}
	}
	for _, e := range commit.Outputs {
		head, err := e.Envelope.Append(nil)
		if err != nil {
			c.t.Fatal(err)
		}
		c.out = append(c.out, e)
		c.publish(e.Topic, e.Lane.Partition(c.n), stream.Record{Time: e.Time, Envelope: head, Value: e.Value})
	}
	c.progress(u, commit)
	c.open(u) // killed, and started again
	return did > 0 || before == ""
}

func (c *cluster) progress(u *unit, commit *stream.Commit) {
	for _, g := range commit.Progress {
		val, err := proto.Marshal(&g)
		if err != nil {
			c.t.Fatal(err)
		}
		env := proto.Envelope{Schema: 1, Kind: proto.KindProgress, Cause: proto.Cause{Partition: -1}}
		head, err := env.Append(nil)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, to := range u.fold.Progress() {
			for p := range c.n {
				if to.All || p == g.Partition {
					c.publish(to.Topic, p, stream.Record{Envelope: head, Value: val})
				}
			}
		}
	}
}

// gather makes what a run came to comparable: devices and hourly rows as they
// stand, detections and scores as they were told.
func gather(t *testing.T, list []stream.Emitted) []string {
	last := map[string]string{}
	var all []string
	for _, e := range list {
		switch e.Kind {
		case proto.KindDevice, proto.KindBinding, proto.KindUsage:
			last[e.Kind+" "+string(e.Key)] = string(e.Value)
		case proto.KindDetection, proto.KindRisk, proto.KindAlert:
			all = append(all, e.Kind+" "+string(e.Value))
		case proto.KindRollup:
			var b proto.RollupBatch
			if err := proto.Unmarshal(e.Value, &b); err != nil {
				t.Fatal(err)
			}
			for _, r := range b.Rows {
				val, err := json.Marshal(r)
				if err != nil {
					t.Fatal(err)
				}
				last[rowKey(r)] = string(val)
			}
		case proto.KindDead:
			t.Errorf("dead letter: %s", e.Value)
		}
	}
	for k, v := range last {
		all = append(all, k+" "+v)
	}
	slices.Sort(all)
	return all
}

func rowKey(r proto.Rollup) string {
	if a := r.Activity; a != nil {
		return fmt.Sprint("activity ", a.Endpoint, a.Hour)
	}
	p := r.Pair
	return fmt.Sprint("pair ", p.Hour, p.Endpoint, p.PeerID, p.ClientIP, p.PeerIP, p.Transport, p.Port, p.Protocol)
}

// TestPartitionsAndRestartsChangeNothing: the day and an incident through one
// partition in memory, and through eight that are killed and started again after
// each commit, come to the same.
func TestPartitionsAndRestartsChangeNothing(t *testing.T) {
	w := start(t, baseline(t))
	w.read("day.pcapng", "incident-10-pump-silent.pcap")
	want := gather(t, w.raw)
	c := newCluster(t, 8, 200)
	policy, err := json.Marshal(proto.Control{Kind: "policy", Policy: &proto.Policy{Site: site, LearningUntil: baseline(t).LearningUntil}})
	if err != nil {
		t.Fatal(err)
	}
	for p := range c.n {
		env := proto.Envelope{Schema: 1, Kind: proto.KindControl, Producer: "control", Seq: uint64(p + 1), Cause: proto.Cause{Partition: -1}}
		head, err := env.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		c.publish(proto.TopicControl, p, stream.Record{Envelope: head, Value: policy})
	}
	c.traffic(w.items)
	c.work()
	got := gather(t, c.out)
	if len(want) < 100 {
		t.Fatalf("only %d things to compare", len(want))
	}
	for _, x := range want {
		if _, found := slices.BinarySearch(got, x); !found {
			t.Errorf("missing: %q", x)
		}
	}
	for _, x := range got {
		if _, found := slices.BinarySearch(want, x); !found {
			t.Errorf("too much: %q", x)
		}
	}
}

// traffic publishes items in batches to their lanes' partitions.
func (c *cluster) traffic(items []proto.Item) {
	batches := make([]proto.Batch, c.n)
	seq := make([]uint64, c.n)
	flush := func(p int32) {
		b := &batches[p]
		if len(b.Items) == 0 {
			return
		}
		b.Site, b.Sensor, b.Producer, b.Domain, b.FirstSeq = site, "replay", "day.pcapng", "day.pcapng", seq[p]+1
		seq[p] += uint64(len(b.Items))
		val, err := proto.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		c.publish(proto.TopicTraffic, p, stream.Record{Value: val})
		b.Items = nil
	}
	for _, it := range items {
		for p := range c.n {
			if it.Heartbeat != nil || it.Lane.Partition(c.n) == p {
				if batches[p].Items = append(batches[p].Items, it); len(batches[p].Items) >= 50 {
					flush(p)
				}
			}
		}
	}
	for p := range c.n {
		flush(p)
	}
}
