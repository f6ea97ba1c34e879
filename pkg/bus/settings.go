package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// timestampType is the setting by which a record's time is the broker's, at its
// arrival: a sensor's clock is judged by it, so it must not be the sensor's own.
// The embedded broker takes the setting and leaves records as they were stamped;
// there all run on one machine, whose clock it is in any case.
const (
	timestampType = "message.timestamp.type"
	logAppendTime = "LogAppendTime"
)

// The settings by which a topic is kept for ever.
const (
	retentionTime = "retention.ms"
	retentionSize = "retention.bytes"
	keptForever   = "-1"
)

// needed are the settings of a topic that correctness rests on.
func (t TopicSpec) needed() map[string]string {
	switch {
	case t.arrival:
		return map[string]string{timestampType: logAppendTime}
	case t.Forever:
		return map[string]string{retentionTime: keptForever, retentionSize: keptForever}
	}
	return nil
}

// adjustTopics brings topics that were made by an older build, or by hand, to the
// settings that correctness rests on: who stamps records, and that people's
// decisions are kept. Others, such as retention of traffic, are the operator's to
// change. A broker that does not let us look or alter is left as it is: with the
// sensors' own times a wrong clock shows as long as it is not theirs that stamps.
func adjustTopics(ctx context.Context, adm *kadm.Client, topics []TopicSpec) error {
	needed := map[string]map[string]string{}
	var names []string
	for _, t := range topics {
		if n := t.needed(); n != nil {
			needed[t.Name] = n
			names = append(names, t.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	have, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return fmt.Errorf("read settings of topics: %w", err)
	}
	var errs []error
	for _, t := range have {
		if t.Err != nil {
			continue
		}
		var alter []kadm.AlterConfig
		for _, s := range t.Configs {
			if want, ours := needed[t.Name][s.Key]; ours && s.MaybeValue() != want {
				alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: s.Key, Value: &want})
			}
		}
		errs = append(errs, alterTopic(ctx, adm, t.Name, alter))
	}
	return errors.Join(errs...)
}

func alterTopic(ctx context.Context, adm *kadm.Client, topic string, alter []kadm.AlterConfig) error {
	if len(alter) == 0 {
		return nil
	}
	altered, err := adm.AlterTopicConfigs(ctx, alter, topic)
	if err != nil {
		return fmt.Errorf("set %s of topic %s: %w", alter[0].Name, topic, err)
	}
	var errs []error
	for _, a := range altered {
		if a.Err != nil && !errors.Is(a.Err, kerr.TopicAuthorizationFailed) && !errors.Is(a.Err, kerr.ClusterAuthorizationFailed) {
			errs = append(errs, fmt.Errorf("set %s of topic %s: %w", alter[0].Name, a.Name, a.Err))
		}
	}
	return errors.Join(errs...)
}
