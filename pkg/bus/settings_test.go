package bus

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/wardflow/wardflow/pkg/embedded/kafkatest"
	"github.com/wardflow/wardflow/proto"
)

func setting(t *testing.T, adm *kadm.Client, topic, name string) string {
	t.Helper()
	have, err := adm.DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range have[0].Configs {
		if c.Key == name {
			return c.MaybeValue()
		}
	}
	t.Fatalf("%s of %s is not told", name, topic)
	return ""
}

// TestTopicsOfAnOlderBuildAreBroughtToArrivalTime: and what the operator has
// changed stays.
func TestTopicsOfAnOlderBuildAreBroughtToArrivalTime(t *testing.T) {
	c := oneBroker(t)
	cl, err := c.client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if got := setting(t, adm, proto.TopicTraffic, timestampType); got != logAppendTime {
		t.Errorf("a new topic has %s", got)
	}
	create, keep := "CreateTime", "7200000"
	if _, err := adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: timestampType, Value: &create}, {Op: kadm.SetConfig, Name: "retention.ms", Value: &keep},
	}, proto.TopicTraffic); err != nil {
		t.Fatal(err)
	}
	if got := setting(t, adm, proto.TopicTraffic, timestampType); got != create {
		t.Fatalf("the test could not set it back: %s", got)
	}
	if err := EnsureTopics(t.Context(), c, Topics("f")); err != nil {
		t.Fatal(err)
	}
	if got := setting(t, adm, proto.TopicTraffic, timestampType); got != logAppendTime {
		t.Errorf("a topic of an older build has %s", got)
	}
	if got := setting(t, adm, proto.TopicTraffic, "retention.ms"); got != keep {
		t.Errorf("retention was changed to %s", got)
	}
	if got := setting(t, adm, proto.TopicEdits, retentionTime); got != keptForever {
		t.Errorf("people's decisions are kept for %s", got)
	}
	if _, err := adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: retentionTime, Value: &keep}}, proto.TopicEdits); err != nil {
		t.Fatal(err)
	}
	if err := EnsureTopics(t.Context(), c, Topics("f")); err != nil {
		t.Fatal(err)
	}
	if got := setting(t, adm, proto.TopicEdits, retentionTime); got != keptForever {
		t.Errorf("on a topic of an older build, people's decisions are kept for %s", got)
	}
	if got := setting(t, adm, proto.TopicRollups, timestampType); got != create {
		t.Errorf("a topic that nobody asked about has %s", got)
	}
}

// TestRealKafkaStampsArrival: whatever a sensor's clock says, a record's time is
// the broker's, also on a topic that an older build has made.
func TestRealKafkaStampsArrival(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Kafka")
	}
	k := kafkatest.Start(t, kafkatest.Options{})
	c := Default()
	c.Brokers, c.Partitions, c.Replicas = k.Brokers(), 1, 1
	cl, err := c.client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 1, nil, proto.TopicTraffic); err != nil {
		t.Fatal(err)
	}
	if err := EnsureTopics(ctx, c, Topics()); err != nil {
		t.Fatal(err)
	}
	ahead := time.Now().Add(time.Hour)
	r := &kgo.Record{Topic: proto.TopicTraffic, Partition: 0, Value: []byte("v"), Timestamp: ahead}
	if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	reader, err := NewReader(c)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	n := 0
	if _, err := reader.Read(ctx, proto.TopicTraffic, 0, 0, func(r Record) error {
		n++
		if off := time.Until(r.Time.Std()); off.Abs() > time.Minute {
			t.Errorf("the record's time is %v off", off)
		}
		return nil
	}); err != nil || n != 1 {
		t.Errorf("%d records, %v", n, err)
	}
}
