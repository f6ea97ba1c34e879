package embedded_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/wardflow/wardflow/pkg/embedded"
)

// process is the network of a client that can be killed: its connections end and no new one begins.
type process struct {
	mu     sync.Mutex
	dead   bool
	conns  []net.Conn
	dialer net.Dialer
}

func (p *process) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return nil, errors.New("killed")
	}
	conn, err := p.dialer.DialContext(ctx, network, addr)
	if err == nil {
		p.conns = append(p.conns, conn)
	}
	return conn, err
}

func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
	for _, c := range p.conns {
		_ = c.Close()
	}
}

// A member that is killed while it waits to join holds no partitions once its session is over.
func TestMemberKilledWhileJoining(t *testing.T) {
	b := openBroker(t, embedded.BrokerConfig{Dir: t.TempDir()})
	admin := client(t, b.Addr(), "u", "p")
	createTopic(t, admin, 4, nil, "in")
	group := func(opts ...kgo.Opt) *kgo.Client {
		return client(t, b.Addr(), "u", "p", append([]kgo.Opt{
			kgo.ConsumerGroup("readers"), kgo.ConsumeTopics("in"), kgo.Balancers(kgo.RangeBalancer()),
			kgo.SessionTimeout(time.Second), kgo.HeartbeatInterval(100 * time.Millisecond),
		}, opts...)...)
	}
	all := make(chan int, 100)
	steady := group(kgo.BlockRebalanceOnPoll(), kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, a map[string][]int32) {
		all <- len(a["in"])
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	poll := func() {
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		steady.PollFetches(short)
	}
	for poll(); len(all) == 0; poll() {
		steady.AllowRebalance()
	}
	if n := <-all; n != 4 {
		t.Fatalf("the only member has %d partitions", n)
	}
	// The steady member is at work, so the group cannot rebalance and the other waits.
	var other process
	group(kgo.Dialer(other.dial))
	members := func() int {
		groups, err := kadm.NewClient(admin).DescribeGroups(ctx, "readers")
		if err != nil {
			t.Fatal(err)
		}
		if g := groups["readers"]; g.State == "PreparingRebalance" {
			return len(g.Members)
		}
		return 0
	}
	for members() < 2 {
	}
	other.kill()
	steady.AllowRebalance()
	for ctx.Err() == nil {
		poll()
		steady.AllowRebalance()
		select {
		case n := <-all:
			if n == 4 {
				return
			}
		default:
		}
	}
	t.Error("the killed member keeps its partitions")
}
