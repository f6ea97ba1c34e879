package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/proto"
)

// publishPolicies puts the configured policies on wardflow.control, to every
// partition in one transaction, where they differ from what was published last. A
// policy that is configured no more is withdrawn: one that leaves everything to
// the defaults takes its place.
func publishPolicies(ctx context.Context, cfg *config.Config, kafka bus.Config) error {
	have, err := publishedPolicies(ctx, kafka)
	if err != nil {
		return err
	}
	want, err := wantedPolicies(cfg, have)
	if err != nil {
		return err
	}
	number := uint64(time.Now().UnixMilli()) // higher than any before it, which is all that readers ask
	for _, site := range sortedKeys(want) {
		if bytes.Equal(have[site], want[site]) {
			continue
		}
		messages, err := controlMessages(want[site], "policy/"+site, number, kafka.Partitions)
		if err != nil {
			return err
		}
		if err := bus.WriteAll(ctx, kafka, proto.TopicControl, messages); err != nil {
			return fmt.Errorf("publish policy of site %s: %w", site, err)
		}
		number++
	}
	return nil
}

// wantedPolicies gives the control event of every site that has a policy or had one.
func wantedPolicies(cfg *config.Config, have map[string][]byte) (map[string][]byte, error) {
	policies := map[string]proto.Policy{}
	for site := range have {
		policies[site] = proto.Policy{Site: site}
	}
	for site, p := range cfg.Policy {
		var err error
		if policies[site], err = p.Proto(site); err != nil {
			return nil, fmt.Errorf("policy.%s: %w", site, err)
		}
	}
	want := map[string][]byte{}
	for site, p := range policies {
		value, err := json.Marshal(&proto.Control{Kind: "policy", Policy: &p})
		if err != nil {
			return nil, fmt.Errorf("encode policy of site %s: %w", site, err)
		}
		want[site] = value
	}
	return want, nil
}

// controlMessages is one control event for every partition.
func controlMessages(value []byte, key string, number uint64, partitions int32) ([]bus.Message, error) {
	env := proto.Envelope{Schema: proto.SchemaDerived, Kind: proto.KindControl, Producer: "control", Seq: number, Cause: proto.Cause{Partition: -1}, Time: proto.TimeOf(time.Now())}
	header, err := env.Append(nil)
	if err != nil {
		return nil, fmt.Errorf("encode envelope: %w", err)
	}
	var out []bus.Message
	for p := range partitions {
		out = append(out, bus.Message{Topic: proto.TopicControl, Partition: p, Key: []byte(key), Value: value, Envelope: header})
	}
	return out, nil
}

// publishedPolicies reads what wardflow.control says of every site.
func publishedPolicies(ctx context.Context, kafka bus.Config) (map[string][]byte, error) {
	r, err := bus.NewReader(kafka)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	have := map[string][]byte{}
	_, err = r.Read(ctx, proto.TopicControl, 0, 0, func(rec bus.Record) error {
		var c proto.Control
		if rec.Control || json.Unmarshal(rec.Value, &c) != nil || c.Policy == nil {
			return nil // a marker, or an event that is not a policy
		}
		have[c.Policy.Site] = rec.Value
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", proto.TopicControl, err)
	}
	return have, nil
}
