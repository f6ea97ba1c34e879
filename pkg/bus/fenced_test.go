package bus_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// echo is a fold that says one thing for every flow, and calls hook before the first.
type echo struct {
	once *sync.Once
	hook func()
}

func (echo) Name() string                     { return "echo" }
func (echo) Inputs() []stream.Input           { return []stream.Input{{Topic: proto.TopicTraffic}} }
func (echo) Progress() []stream.ProgressTo    { return nil }
func (echo) Fire(*stream.Tx, stream.Timer)    {}
func (echo) Sweep(*stream.Tx, string, []byte) {}
func (e echo) Apply(tx *stream.Tx, ev *stream.Event) {
	e.once.Do(e.hook)
	tx.Emit(stream.Output{Topic: proto.TopicDetections, Kind: proto.KindDetection, Value: []byte("{}"), Time: ev.Time})
}

// A runner that the group has thrown out in the middle of its work gives its
// transaction up and ends, to be started over: nothing of it is committed, and no
// partition stays with it that nobody would ever give it again. Started again it
// does the work once.
func TestFencedRunnerStartsOver(t *testing.T) {
	addr, user, password := embeddedtest.NewTestBroker(t)
	c := bus.Default()
	c.Brokers, c.Partitions = []string{addr}, 1
	c.SASL = bus.SASL{Mechanism: "scram-sha-256", User: user, Password: password}
	if err := bus.EnsureTopics(t.Context(), c, bus.Topics("echo")); err != nil {
		t.Fatal(err)
	}
	b := proto.Batch{Site: "s", Sensor: "x", Producer: "file:1", Domain: "d", FirstSeq: 1, Items: []proto.Item{{Flow: &proto.Flow{Site: "s"}}, {Flow: &proto.Flow{Site: "s"}}}}
	val, err := proto.Marshal(&b)
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.WriteAll(t.Context(), c, "capture", []bus.Message{{Topic: proto.TopicTraffic, Value: val}}); err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	group := stream.Group("echo")
	throwOut := func() {
		d, err := adm.DescribeGroups(context.Background(), group)
		if err != nil || len(d[group].Members) != 1 {
			t.Errorf("describe group: %v, %+v", err, d)
			return
		}
		req := kmsg.NewPtrLeaveGroupRequest()
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = d[group].Members[0].MemberID
		req.Group, req.MemberID, req.Members = group, m.MemberID, append(req.Members, m)
		if _, err := req.RequestWith(context.Background(), cl); err != nil {
			t.Errorf("leave group: %v", err)
		}
	}
	r := stream.NewRunner(echo{new(sync.Once), throwOut}, stream.RunnerConfig{Bus: c, Instance: "a", StateDir: t.TempDir(), Interval: 10 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if err := r.Run(ctx); !errors.Is(err, bus.ErrFenced) {
		t.Fatalf("the runner ended with %v, want ErrFenced", err)
	}
	outputs := func() (n int) {
		reader, err := bus.NewReader(c)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		if _, err := reader.Read(t.Context(), proto.TopicDetections, 0, 0, func(rec bus.Record) error {
			if !rec.Control {
				n++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := outputs(); n != 0 {
		t.Errorf("%d outputs of the fenced transaction are committed, want none", n)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	for n := 0; n == 0 && ctx.Err() == nil; n = outputs() {
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the runner, started again, ended with %v", err)
	}
	if n := outputs(); n != 2 {
		t.Errorf("%d outputs, want 2", n)
	}
}
