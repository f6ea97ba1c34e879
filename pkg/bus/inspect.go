package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Inspection is what a cluster says of itself. Looking changes nothing.
type Inspection struct {
	Brokers []BrokerState
	Topics  map[string]TopicState // those asked about that exist
	Groups  map[string]GroupState // those asked about
}

// BrokerState is one broker.
type BrokerState struct {
	ID      int32
	Address string // as it tells clients
	Answers bool
	Version string // guessed from the requests that it understands
	// Transactions says that it has those that we need: KIP-447, Kafka 2.5.
	Transactions bool
}

// TopicState is a topic as the cluster has it.
type TopicState struct {
	Partitions int32
	Replicas   int               // of the partition that has fewest
	InSync     int               // replicas that are up to date, of the partition that has fewest
	Leaderless int               // partitions that nobody can write to now
	Settings   map[string]string // nil when they may not be read
	Newest     time.Time         // latest timestamp of any record; zero when there is none, or it is not known
	Err        error
}

// GroupState is a consumer group.
type GroupState struct {
	State   string // Kafka's word: Stable, Empty, Dead, ...
	Members int
	Err     error
}

// txnOffsetCommit is the request TxnOffsetCommit; from version 3 on it names the
// group's generation, as KIP-447 wants.
const txnOffsetCommit = 28

// Settings are those that EnsureTopics makes the topic with.
func (t TopicSpec) Settings(c Config) map[string]string {
	out := map[string]string{}
	for k, v := range t.settings(c) {
		out[k] = *v
	}
	return out
}

// Inspect looks at the cluster, at topics and at groups. An error means that the
// cluster does not answer, or not to us.
func Inspect(ctx context.Context, c Config, topics, groups []string) (*Inspection, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	meta, err := adm.Metadata(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("reach Kafka at %v: %w", c.Brokers, err)
	}
	out := &Inspection{Topics: map[string]TopicState{}, Groups: map[string]GroupState{}}
	versions, err := adm.ApiVersions(ctx)
	if err != nil {
		versions = nil // brokers that are away show as such
	}
	for _, b := range meta.Brokers {
		s := BrokerState{ID: b.NodeID, Address: fmt.Sprintf("%s:%d", b.Host, b.Port)}
		if v, ok := versions[b.NodeID]; ok && v.Err == nil {
			s.Answers, s.Version = true, v.VersionGuess()
			offsets, _ := v.KeyMaxVersion(txnOffsetCommit)
			s.Transactions = offsets >= 3
		}
		out.Brokers = append(out.Brokers, s)
	}
	for _, name := range topics {
		if d, ok := meta.Topics[name]; ok && !errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			out.Topics[name] = topicState(d)
		}
	}
	inspectSettings(ctx, adm, out)
	inspectNewest(ctx, adm, out)
	described, err := adm.DescribeGroups(ctx, groups...)
	for _, name := range groups {
		g, ok := described[name]
		switch {
		case ok:
			out.Groups[name] = GroupState{State: g.State, Members: len(g.Members), Err: g.Err}
		case err != nil:
			out.Groups[name] = GroupState{Err: err}
		}
	}
	return out, nil
}

func topicState(d kadm.TopicDetail) TopicState {
	s := TopicState{Partitions: int32(len(d.Partitions)), Err: d.Err}
	first := true
	for _, p := range d.Partitions {
		if first || len(p.Replicas) < s.Replicas {
			s.Replicas = len(p.Replicas)
		}
		if first || len(p.ISR) < s.InSync {
			s.InSync = len(p.ISR)
		}
		if p.Leader < 0 {
			s.Leaderless++
		}
		first = false
	}
	return s
}

// existing are the topics found, sorted.
func (i *Inspection) existing() []string {
	var names []string
	for name, t := range i.Topics {
		if t.Err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// inspectSettings reads topics' settings where we may.
func inspectSettings(ctx context.Context, adm *kadm.Client, out *Inspection) {
	names := out.existing()
	if len(names) == 0 {
		return
	}
	configs, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return
	}
	for _, r := range configs {
		t, ok := out.Topics[r.Name]
		if !ok || r.Err != nil {
			continue
		}
		t.Settings = map[string]string{}
		for _, c := range r.Configs {
			t.Settings[c.Key] = c.MaybeValue()
		}
		out.Topics[r.Name] = t
	}
}

// inspectNewest reads the latest timestamps (KIP-734, Kafka 3.0).
func inspectNewest(ctx context.Context, adm *kadm.Client, out *Inspection) {
	names := out.existing()
	if len(names) == 0 {
		return
	}
	newest, err := adm.ListMaxTimestampOffsets(ctx, names...)
	if err != nil {
		return
	}
	newest.Each(func(o kadm.ListedOffset) {
		if o.Err != nil || o.Timestamp <= 0 {
			return
		}
		t := out.Topics[o.Topic]
		if at := time.UnixMilli(o.Timestamp); at.After(t.Newest) {
			t.Newest = at
		}
		out.Topics[o.Topic] = t
	})
}
