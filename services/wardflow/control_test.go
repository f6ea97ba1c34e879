package main

import (
	"encoding/json"
	"maps"
	"reflect"
	"testing"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/proto"
)

// What wardflow.control says in the end is what is configured, and nothing is said twice.
func TestPoliciesArePublishedAndWithdrawn(t *testing.T) {
	kafka := testKafka(t, 2)
	events := func(partition int32) (list []proto.Policy) {
		r, err := bus.NewReader(kafka)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.Read(t.Context(), proto.TopicControl, partition, 0, func(rec bus.Record) error {
			var c proto.Control
			if rec.Control {
				return nil
			}
			if err := json.Unmarshal(rec.Value, &c); err != nil {
				return err
			}
			list = append(list, *c.Policy)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return list
	}
	both := map[string]config.Policy{"a": {LearningPeriodS: 60}, "b": {PortScanPorts: 7}}
	one := maps.Clone(both)
	delete(one, "a")
	a, b := proto.Policy{Site: "a", LearningPeriodS: 60}, proto.Policy{Site: "b", PortScanPorts: 7}
	var want []proto.Policy
	for _, step := range []struct {
		name   string
		policy map[string]config.Policy
		more   []proto.Policy
	}{
		{"none, and none before", nil, nil},
		{"two", both, []proto.Policy{a, b}},
		{"the same", both, nil},
		{"one is taken out", one, []proto.Policy{{Site: "a"}}},
		{"it stays out", one, nil},
		{"it comes back", both, []proto.Policy{a}},
		{"all are taken out", nil, []proto.Policy{{Site: "a"}, {Site: "b"}}},
	} {
		if err := publishPolicies(t.Context(), &config.Config{Policy: step.policy}, kafka); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		want = append(want, step.more...)
		for partition := range kafka.Partitions {
			got := events(partition)
			if len(got) != len(want) || !equalPolicies(got, want) {
				t.Fatalf("%s: partition %d has %+v, want %+v", step.name, partition, got, want)
			}
		}
	}
}

func equalPolicies(got, want []proto.Policy) bool {
	for i := range got {
		got[i].TrustedExternals = nil // [] where nothing was set
		if !reflect.DeepEqual(got[i], want[i]) {
			return false
		}
	}
	return true
}
