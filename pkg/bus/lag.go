package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Lag is how far a group is behind in a topic, over all partitions.
type Lag struct {
	Records   int64 // between what is committed and the end; markers of transactions count
	Overtaken int64 // deleted by retention before they were read
	// RetentionUsed is the part of what the topic keeps that is still to be read, 0 to
	// 1, in the worst partition of those of which something has been deleted.
	RetentionUsed float64
}

// LagWatcher asks for lags again and again over one client.
type LagWatcher struct {
	cl  *kgo.Client
	adm *kadm.Client
}

// NewLagWatcher makes one; it connects when it is asked.
func NewLagWatcher(c Config) (*LagWatcher, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	return &LagWatcher{cl: cl, adm: kadm.NewClient(cl)}, nil
}

// Close gives the connections up.
func (w *LagWatcher) Close() { w.cl.Close() }

// Look gives the lag of each group in each of its topics; without groups it only
// asks whether the brokers answer.
func (w *LagWatcher) Look(ctx context.Context, groups map[string][]string) (map[string]map[string]Lag, error) {
	if len(groups) == 0 {
		if err := w.cl.Ping(ctx); err != nil {
			return nil, fmt.Errorf("reach Kafka: %w", err)
		}
		return nil, nil
	}
	seen := map[string]bool{}
	var topics []string
	for _, list := range groups {
		for _, t := range list {
			if !seen[t] {
				seen[t] = true
				topics = append(topics, t)
			}
		}
	}
	ends, err := w.adm.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list end offsets: %w", err)
	}
	starts, err := w.adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list start offsets: %w", err)
	}
	out := map[string]map[string]Lag{}
	for group, list := range groups {
		committed, err := w.committed(ctx, group)
		if err != nil {
			return nil, err
		}
		out[group] = map[string]Lag{}
		for _, topic := range list {
			out[group][topic] = topicLag(topic, starts, ends, committed)
		}
	}
	return out, nil
}

// committed gives a group's offsets; none where there is no such group yet.
func (w *LagWatcher) committed(ctx context.Context, group string) (kadm.OffsetResponses, error) {
	o, err := w.adm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("read offsets of group %s: %w", group, err)
	}
	return o, nil
}

func topicLag(topic string, starts, ends kadm.ListedOffsets, committed kadm.OffsetResponses) Lag {
	var l Lag
	for partition, end := range ends[topic] {
		if end.Err != nil {
			continue // without a leader now; the client's own errors tell
		}
		start := int64(0)
		if s, ok := starts.Lookup(topic, partition); ok && s.Err == nil {
			start = s.Offset
		}
		at, has := start, false
		if o, ok := committed.Lookup(topic, partition); ok && o.At >= 0 {
			at, has = o.At, true
		}
		l.Records += max(0, end.Offset-max(at, start))
		if has {
			l.Overtaken += max(0, start-at)
		}
		if start > 0 && end.Offset > start {
			l.RetentionUsed = max(l.RetentionUsed, float64(end.Offset-max(at, start))/float64(end.Offset-start))
		}
	}
	return l
}

// Passed gives, for each group, the next offset that it will read of a partition, -1
// for one that has committed nothing there.
func (w *LagWatcher) Passed(ctx context.Context, groups []string, topic string, partition int32) (map[string]int64, error) {
	out := map[string]int64{}
	for _, group := range groups {
		committed, err := w.committed(ctx, group)
		if err != nil {
			return nil, err
		}
		out[group] = -1
		if o, ok := committed.Lookup(topic, partition); ok && o.Err == nil {
			out[group] = o.At
		}
	}
	return out, nil
}
