package bus

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/wardflow/wardflow/proto"
)

// Looking finds what there is and what is missing, and makes nothing.
func TestInspect(t *testing.T) {
	c := oneBroker(t)
	const other = "wardflow.nonesuch"
	seen, err := Inspect(t.Context(), c, []string{proto.TopicTraffic, proto.TopicRisk, other}, []string{"wardflow.sink"})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen.Brokers) != 1 || !seen.Brokers[0].Answers || !seen.Brokers[0].Transactions {
		t.Errorf("brokers: %+v", seen.Brokers)
	}
	traffic, risk := seen.Topics[proto.TopicTraffic], seen.Topics[proto.TopicRisk]
	if traffic.Partitions != 1 || traffic.Replicas != 1 || traffic.InSync != 1 || traffic.Leaderless != 0 || traffic.Err != nil {
		t.Errorf("traffic: %+v", traffic)
	}
	if traffic.Settings["cleanup.policy"] != "delete" || risk.Settings["cleanup.policy"] != "compact" {
		t.Errorf("settings: %v, %v", traffic.Settings, risk.Settings)
	}
	if _, ok := seen.Topics[other]; ok {
		t.Error("a topic that is not there was found")
	}
	if g := seen.Groups["wardflow.sink"]; g.Members != 0 {
		t.Errorf("a group that nobody is in: %+v", g)
	}
	cl, err := c.client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	list, err := kadm.NewClient(cl).ListTopics(t.Context())
	if err != nil || slices.Contains(list.Names(), other) {
		t.Errorf("looking made a topic: %v, %v", list.Names(), err)
	}
	bad := c
	bad.SASL.Password = "wrong"
	if _, err := Inspect(t.Context(), bad, nil, nil); err == nil {
		t.Error("a wrong password is taken")
	}
}

func TestEnds(t *testing.T) {
	c := oneBroker(t)
	w, err := NewLagWatcher(c)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	before, err := w.Ends(t.Context(), proto.TopicTraffic, "wardflow.nonesuch")
	if err != nil || !slices.Equal(before[proto.TopicTraffic], []int64{0}) || len(before) != 1 {
		t.Fatalf("%v, %v", before, err)
	}
	p, err := NewProducer(c, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.Produce(t.Context(), Message{Topic: proto.TopicTraffic, Value: []byte("x")}, func(err error) {
		if err != nil {
			t.Error(err)
		}
	})
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := w.Ends(t.Context(), proto.TopicTraffic)
	if err != nil || !slices.Equal(after[proto.TopicTraffic], []int64{1}) {
		t.Errorf("%v, %v", after, err)
	}
}
