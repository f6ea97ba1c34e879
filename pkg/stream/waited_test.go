package stream

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
	"github.com/wardflow/wardflow/proto"
)

// A side input is read on while the primary waits for its upstream, however many
// events of a producer that is ahead wait in it: what the primary waits for lies
// behind them.
func TestSideInputIsReadWhileItIsWaitedFor(t *testing.T) {
	addr, user, password := embeddedtest.NewTestBroker(t)
	c := bus.Default()
	c.Brokers, c.Partitions = []string{addr}, 1
	c.SASL = bus.SASL{Mechanism: "scram-sha-256", User: user, Password: password}
	if err := bus.EnsureTopics(t.Context(), c, bus.Topics("ledger")); err != nil {
		t.Fatal(err)
	}
	records, _ := ledgerInputs(t, true)
	messages := []bus.Message{{Topic: proto.TopicTraffic, Value: records[0].Value}}
	say := func(env proto.Envelope, val []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		env.Schema = proto.SchemaDerived
		head, err := env.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, bus.Message{Topic: proto.TopicBindings, Key: fmt.Append(nil, len(messages)), Value: val, Envelope: head})
	}
	const ahead = 5 * maxWaiting * 256
	for i := range ahead {
		val, err := proto.Marshal(&proto.Binding{})
		say(proto.Envelope{Kind: proto.KindBinding, Producer: "up/1", Seq: uint64(i + 1), Cause: proto.Cause{Position: proto.Position{Offset: 1 << 40}}}, val, err)
	}
	val, err := proto.Marshal(&proto.Progress{Fold: "up", Next: proto.Position{Offset: 1}})
	say(proto.Envelope{Kind: proto.KindProgress}, val, err)
	if err := bus.WriteAll(t.Context(), c, "others", messages); err != nil {
		t.Fatal(err)
	}
	r := NewRunner(ledger{}, RunnerConfig{Bus: c, Instance: "a", StateDir: filepath.Join(t.TempDir(), "state"), Interval: 20 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	for r.Snapshot().Traffic == 0 && ctx.Err() == nil {
		if _, err := bus.Ends(ctx, c, proto.TopicTraffic); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
	}
	if r.Snapshot().Traffic == 0 {
		t.Errorf("no flow was applied: the side input is not read to what the upstream has said")
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}
