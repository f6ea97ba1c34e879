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

// adjustTopics brings topics that were made by an older build, or by hand, to the
// one setting that correctness rests on. Others, such as retention, are the
// operator's to change. A broker that does not let us look or alter is left as it
// is: with the sensors' own times a wrong clock shows as long as it is not theirs
// that stamps.
func adjustTopics(ctx context.Context, adm *kadm.Client, topics []TopicSpec) error {
	var names []string
	for _, t := range topics {
		if t.arrival {
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
	var differ []string
	for _, t := range have {
		for _, s := range t.Configs {
			if t.Err == nil && s.Key == timestampType && s.MaybeValue() != logAppendTime {
				differ = append(differ, t.Name)
			}
		}
	}
	if len(differ) == 0 {
		return nil
	}
	value := logAppendTime
	altered, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: timestampType, Value: &value}}, differ...)
	if err != nil {
		return fmt.Errorf("set %s of topics: %w", timestampType, err)
	}
	var errs []error
	for _, a := range altered {
		if a.Err != nil && !errors.Is(a.Err, kerr.TopicAuthorizationFailed) && !errors.Is(a.Err, kerr.ClusterAuthorizationFailed) {
			errs = append(errs, fmt.Errorf("set %s of topic %s: %w", timestampType, a.Name, a.Err))
		}
	}
	return errors.Join(errs...)
}
