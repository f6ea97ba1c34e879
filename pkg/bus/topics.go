package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/wardflow/wardflow/proto"
)

// TopicSpec is a topic that Wardflow owns.
type TopicSpec struct {
	Name    string
	Compact bool
	Forever bool  // kept whatever its age and size: what people decide cannot be made anew
	share   int64 // of Config.MaxTopicBytes, per mille; append topics only
	// arrival has the broker stamp records when they arrive, instead of the writer:
	// against it the writer's clock is judged.
	arrival bool
}

// Topics lists every topic, with the changelogs of the given folds.
func Topics(folds ...string) []TopicSpec {
	t := []TopicSpec{
		{Name: proto.TopicTraffic, arrival: true, share: 600},
		{Name: proto.TopicRollups, share: 120},
		{Name: proto.TopicDetections, share: 30},
		{Name: proto.TopicAlerts, share: 30},
		{Name: proto.TopicDeadletter, share: 10},
		{Name: proto.TopicEdits, Forever: true},
		{Name: proto.TopicUsage, share: 5},
		{Name: proto.TopicNested, share: 5},
		{Name: proto.TopicSummaries, Compact: true},
		{Name: proto.TopicClaims, Compact: true},
		{Name: proto.TopicGroupings, Compact: true},
		{Name: proto.TopicBindings, Compact: true},
		{Name: proto.TopicDevices, Compact: true},
		{Name: proto.TopicFindings, Compact: true},
		{Name: proto.TopicAdvisories, Compact: true},
		{Name: proto.TopicRisk, Compact: true},
		{Name: proto.TopicControl, Compact: true},
		{Name: proto.TopicSensors, Compact: true, arrival: true},
		{Name: proto.TopicSensorEvents, Compact: true},
	}
	for _, f := range folds {
		t = append(t, TopicSpec{Name: proto.ChangelogTopic(f), Compact: true})
	}
	return t
}

// MaxBatchBytes bounds one record of an append topic.
const MaxBatchBytes = 512 << 10

// maxMessageBytes is what topics must take: a batch and room for its envelope.
const maxMessageBytes = 1 << 20

// EnsureTopics creates what is missing and checks that every topic has the
// configured partition count: the count is set once, and lanes depend on it.
func EnsureTopics(ctx context.Context, c Config, topics []TopicSpec) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	names := make([]string, 0, len(topics))
	for _, t := range topics {
		names = append(names, t.Name)
	}
	have, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("list topics at %v: %w", c.Brokers, err)
	}
	var errs []error
	created := false
	for _, t := range topics {
		d, ok := have[t.Name]
		if ok && d.Err == nil {
			if n := int32(len(d.Partitions)); n != c.Partitions {
				errs = append(errs, fmt.Errorf("topic %s has %d partitions, the configuration says %d: set kafka.partitions to %d (changing the count is a reshard into new topics)", t.Name, n, c.Partitions, n))
			}
			continue
		}
		if ok && !errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			errs = append(errs, fmt.Errorf("topic %s: %w", t.Name, d.Err))
			continue
		}
		r, err := adm.CreateTopic(ctx, c.Partitions, c.Replicas, t.settings(c), t.Name)
		if err == nil {
			err = r.Err
		}
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			errs = append(errs, fmt.Errorf("create topic %s: %w", t.Name, err))
		}
		created = true
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if created {
		if err := awaitTopics(ctx, adm, names); err != nil {
			return err
		}
	}
	return adjustTopics(ctx, adm, topics)
}

// awaitTopics waits until every partition has a leader that answers: a cluster
// makes topics known some time after it has agreed to create them.
func awaitTopics(ctx context.Context, adm *kadm.Client, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		ends, err := adm.ListEndOffsets(ctx, names...)
		if err == nil {
			err = ends.Error()
		}
		if err == nil && len(ends) == len(names) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the new topics: %w", errors.Join(ctx.Err(), err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (t TopicSpec) settings(c Config) map[string]*string {
	s := func(v string) *string { return &v }
	m := map[string]*string{"max.message.bytes": s(strconv.Itoa(maxMessageBytes))}
	if t.arrival {
		m[timestampType] = s(logAppendTime)
	}
	if t.Compact {
		m["cleanup.policy"] = s("compact")
		// A consumer that is behind must still find the states in between.
		m["min.compaction.lag.ms"] = s(strconv.Itoa(24 * 3600 * 1000))
		return m
	}
	m["cleanup.policy"] = s("delete")
	if t.Forever {
		m[retentionTime], m[retentionSize] = s(keptForever), s(keptForever)
		return m
	}
	m[retentionTime] = s(strconv.FormatInt(int64(c.RetentionHours)*3600*1000, 10))
	if c.MaxTopicBytes > 0 {
		per := c.MaxTopicBytes * t.share / 1000 / int64(c.Partitions)
		m[retentionSize] = s(strconv.FormatInt(per, 10))
		m["segment.bytes"] = s(strconv.FormatInt(max(1<<20, per/8), 10))
	}
	return m
}

func (c *Config) client(more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := c.options(newHook(c, ""))
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("make Kafka client: %w", err)
	}
	return cl, nil
}

// Ping reports whether the brokers answer, and take our credentials.
func Ping(ctx context.Context, c Config) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.Ping(ctx); err != nil {
		return fmt.Errorf("reach Kafka at %v: %w", c.Brokers, err)
	}
	return nil
}

// PartitionEnd is the range of a partition.
type PartitionEnd struct {
	Topic     string
	Partition int32
	Start     int64
	End       int64 // next offset; of committed records only
}

// Ends lists the ranges of topics' partitions, sorted.
func Ends(ctx context.Context, c Config, topics ...string) ([]PartitionEnd, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	start, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list start offsets: %w", err)
	}
	end, err := adm.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list end offsets: %w", err)
	}
	var out []PartitionEnd
	end.Each(func(o kadm.ListedOffset) {
		s, _ := start.Lookup(o.Topic, o.Partition)
		out = append(out, PartitionEnd{Topic: o.Topic, Partition: o.Partition, Start: s.Offset, End: o.Offset})
	})
	slices.SortFunc(out, func(a, b PartitionEnd) int {
		if a.Topic != b.Topic {
			if a.Topic < b.Topic {
				return -1
			}
			return 1
		}
		return int(a.Partition - b.Partition)
	})
	return out, nil
}

// Lags gives, for each group and each of its topics, how many offsets lie between
// what it has committed and the end. A partition without a commit lags as a whole.
// Markers of transactions count: behind the last record there is always one.
func Lags(ctx context.Context, c Config, groups map[string][]string) (map[string]map[string]int64, error) {
	w, err := NewLagWatcher(c)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	look, err := w.Look(ctx, groups)
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]int64{}
	for group, topics := range look {
		out[group] = map[string]int64{}
		for topic, lag := range topics {
			out[group][topic] = lag.Records
		}
	}
	return out, nil
}
