package capture

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wardflow/wardflow/pkg/packet/ring"
	"github.com/wardflow/wardflow/proto"
)

const (
	syn    = 0x02
	synAck = 0x12
	ack    = 0x10
)

// The two directions of a flow come on the two ports of a tap, and the answers
// are in our hands first: the flow was opened by who opened it.
func TestLiveMergesByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, LiveConfig{Interfaces: []string{"in", "out"}, Workers: 1}, 1)
		s.begin()
		pause(time.Second)
		f := talk()
		for i, flags := range []int{syn, synAck, ack, synAck | ack} {
			f.flags = byte(flags)
			if i%2 == 1 {
				s.receive("in", 0, 1, time.Duration(20-i)*time.Millisecond, f.back())
				pause(2 * time.Millisecond)
			}
		}
		for i, flags := range []int{syn, synAck, ack} {
			f.flags = byte(flags)
			if i%2 == 0 {
				s.receive("out", 0, 1, time.Duration(30-i)*time.Millisecond, f)
			}
		}
		pause(time.Second)
		s.finish()
		flows := s.flows()
		if len(flows) != 1 || flows[0].SrcIP != pump || flows[0].SrcPackets != 2 || flows[0].DstPackets != 2 {
			t.Errorf("got %+v", flows)
		}
		if st := s.live.Stats(); st.Packets != 4 || st.Flows != 1 || st.Drops["packet_time_back"] != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// An interface whose packets are an hour ahead, as after a step of the clock,
// holds nothing up.
func TestLiveHoldIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, LiveConfig{Interfaces: []string{"in", "out"}, Workers: 1}, 1)
		s.begin()
		s.receive("in", 0, 1, -time.Hour, talk())
		pause(holdAtMost + 100*time.Millisecond)
		if st := s.live.Stats(); st.Packets != 1 {
			t.Errorf("%d packets read", st.Packets)
		}
		s.finish()
	})
}

func TestLiveHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, LiveConfig{Interfaces: []string{"in"}, Workers: 2}, 2)
		s.begin()
		started := proto.TimeOf(time.Now())
		pause(10 * time.Second) // a silent wire
		now := proto.TimeOf(time.Now())
		beats := s.beats(1)
		if len(beats) < 9 || len(beats) > 11 || !slices.IsSorted(beats) {
			t.Fatalf("%d heartbeats in 10 s: %v", len(beats), beats)
		}
		if last := beats[len(beats)-1]; last > now || now.Sub(last) > 1500*time.Millisecond || beats[0] > started {
			t.Errorf("first %v after the start, last %v ago", beats[0].Sub(started), now.Sub(last))
		}
		if !slices.Equal(s.beats(0), beats) {
			t.Error("the partitions have heard different things")
		}
		// A worker that hangs behind holds the sensor's clock.
		s.mu.Lock()
		s.blocked = make(chan struct{})
		s.mu.Unlock()
		s.receive("in", 1, 2, 0, talk())
		pause(time.Second)
		close(s.blocked)
		s.finish()
		if st := s.live.Stats(); st.Clock == 0 || st.Flows != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

// The sensor's clock is that of its slowest worker.
func TestLiveClockIsTheSlowestWorkers(t *testing.T) {
	l := &Live{clocks: map[*worker]proto.Time{}}
	a, b := &worker{}, &worker{}
	l.clocks[a], l.clocks[b] = 0, 0
	for i, step := range []struct {
		w           *worker
		clock, want proto.Time
	}{
		{a, at(1), 0}, {b, at(1.5), at(1)}, {b, at(9), 0}, {a, at(1.8), 0}, {a, at(2.1), at(2.1)}, {a, at(10), at(9)},
	} {
		if got := l.heard(step.w, step.clock); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}

// Whoever is learned of in one worker is known to the others.
func TestLiveWorkersKnowTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, LiveConfig{Interfaces: []string{"in"}, Workers: 2}, 1)
		s.begin()
		s.receive("in", 0, 2, 0, talk())
		s.receive("in", 0, 2, 0, talk().back()) // so the server's MAC is its own
		pause(time.Second)
		f := talk()
		f.sp = 40001
		s.receive("in", 1, 2, 0, f) // nothing comes back
		pause(time.Second)
		s.finish()
		flows := s.flows()
		if len(flows) != 2 || flows[0].DstEndpoint != flows[1].DstEndpoint || flows[1].DstEndpoint != proto.MACEndpoint(site, serverMAC) {
			t.Errorf("got %+v", flows)
		}
	})
}

func TestLiveInterfaceAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, LiveConfig{Interfaces: []string{"in", "out"}, Workers: 2}, 1)
		s.begin()
		state := func() [2]bool {
			pause(600 * time.Millisecond)
			st := s.live.Stats()
			return [2]bool{st.Interfaces[0].Up, st.Interfaces[1].Up}
		}
		if got := state(); got != [2]bool{true, true} {
			t.Errorf("at the start: %v", got)
		}
		gone := s.of("in")
		gone[0].drop(3)
		s.receive("in", 1, 2, 0, talk()) // received before, so read
		s.put("in", 0)
		gone[0].mu.Lock()
		gone[0].err = ring.ErrDown
		gone[0].mu.Unlock()
		if got := state(); got != [2]bool{false, true} || !gone[0].isClosed() || !gone[1].isClosed() {
			t.Errorf("away: %v", got)
		}
		f := talk()
		f.sp++
		s.receive("out", 0, 2, 0, f) // the other goes on
		pause(30 * time.Second)
		s.put("in", 7)
		pause(reopenMost)
		if got := state(); got != [2]bool{true, true} {
			t.Errorf("back: %v", got)
		}
		f.sp++
		s.receive("in", 0, 2, 0, f)
		s.of("in")[0].drop(4)
		pause(time.Second)
		before := len(s.rings)
		s.put("in", 8) // renamed, and another has the name
		state()
		pause(time.Second)
		if len(s.rings) != before+2 {
			t.Errorf("%d rings opened, %d before the other got the name", len(s.rings), before)
		}
		s.finish()
		st := s.live.Stats()
		if st.Packets != 3 || st.Interfaces[0] != (proto.SensorInterface{Name: "in", Packets: 2, KernelDrops: 7}) || st.Drops[DropRingFull] != 7 {
			t.Errorf("stats %+v", st)
		}
		for _, want := range []string{"an interface is away", "captured again", "packets are lost", "lost_so_far=3"} {
			if !strings.Contains(s.log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, s.log)
			}
		}
	})
}

// While nobody takes the output, nothing is read, and nothing that was read is lost.
func TestLiveFullMeansNotReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, LiveConfig{Interfaces: []string{"in"}, Workers: 1, Processor: Config{MaxFlows: 1}}, 1)
		s.blocked = make(chan struct{})
		s.begin()
		const n = 100_000
		f := talk()
		for i := range n { // each ends the flow before
			f.sp, f.dp = 1+i%50000, 1+i/50000
			s.receive("in", 0, 1, 0, f)
		}
		pause(5 * time.Second)
		r := s.of("in")[0]
		left := r.waiting()
		if left == 0 || left == n {
			t.Errorf("%d of %d packets are not read", left, n)
		}
		pause(5 * time.Second)
		if again := r.waiting(); again != left {
			t.Errorf("%d packets were read while nobody takes anything", left-again)
		}
		close(s.blocked)
		pause(time.Second)
		s.finish()
		if got := len(s.flows()); got != n {
			t.Errorf("%d flows, want %d", got, n)
		}
	})
}

func TestLiveReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, LiveConfig{Interfaces: []string{"in"}, Workers: 1}, 1)
		if err := s.live.Reconfigure(proto.SensorConfig{Version: 1}); !errors.Is(err, ErrStopping) {
			t.Errorf("before Run: %v", err)
		}
		s.begin()
		f := talk()
		stop := make(chan struct{})
		sent, ended := 0, make(chan struct{})
		go func() { // a packet a millisecond, to whoever listens
			defer close(ended)
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					s.receive("in", 0, 1, 0, f)
					sent++
				}
			}
		}()
		pause(time.Second + time.Millisecond/2) // between two packets
		expr := "tcp or udp"
		s.put("new", 9)
		s.slow = 5 * time.Millisecond
		change := proto.SensorConfig{Version: 7, Interfaces: []string{"in", "new"}, Filter: &expr, Home: []string{"10.0.0.0/24"}, ActiveTimeout: 30}
		if err := s.live.Reconfigure(change); err != nil {
			t.Fatal(err)
		}
		pause(time.Second)
		if got := s.of("in"); len(got) != 1 || len(got[0].cfg.Filter) == 0 || len(s.of("new")) != 1 {
			t.Errorf("rings: %+v", got)
		}
		if c := s.live.config(); c.Processor.ActiveTimeout != 30*time.Second || c.Processor.Home[0].String() != "10.0.0.0/24" {
			t.Errorf("config %+v", c)
		}
		opened := len(s.of("in"))
		change.Version++
		if err := s.live.Reconfigure(change); err != nil || len(s.of("in")) != opened {
			t.Errorf("the same again: %v", err)
		}
		change.Version--
		if err := s.live.Reconfigure(change); err != nil {
			t.Error(err)
		}
		bad := "host"
		for want, c := range map[string]proto.SensorConfig{
			"no such interface": {Version: 8, Interfaces: []string{"in", "none"}},
			"want an address":   {Version: 8, Filter: &bad},
			"is no CIDR":        {Version: 8, Home: []string{"ten"}},
			"want 1 to 64":      {Version: 8, Workers: 65},
			"is empty":          {Version: 8, Interfaces: []string{}},
		} {
			err := s.live.Reconfigure(c)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", want, err)
			}
			if st := s.live.Stats(); st.ConfigVersion != 7 || !strings.Contains(st.ConfigError, want) {
				t.Errorf("%s: stats %+v", want, st)
			}
		}
		close(stop)
		<-ended
		pause(time.Second)
		if err := s.live.Reconfigure(proto.SensorConfig{Version: 9, Workers: 2, Interfaces: []string{"in"}}); err != nil {
			t.Error(err)
		}
		if st := s.live.Stats(); st.ConfigVersion != 9 || st.ConfigError != "" || st.Workers != 2 || len(st.Interfaces) != 1 || st.Interfaces[0].Name != "in" {
			t.Errorf("stats %+v", st)
		}
		pause(time.Second)
		s.finish()
		st := s.live.Stats()
		if st.Packets != uint64(sent) {
			t.Errorf("%d packets of %d were counted", st.Packets, sent)
		}
		total := uint64(0)
		for _, f := range s.flows() {
			total += f.SrcPackets
		}
		if total != uint64(sent) || st.Flows != 2 {
			t.Errorf("%d flows with %d packets; want 2 with %d", st.Flows, total, sent)
		}
	})
}

// After the clock was set back an hour, flows end and heartbeats go on.
func TestLiveClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Int64
		now := func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
		s := newScene(t, LiveConfig{Interfaces: []string{"in"}, Workers: 1, now: now}, 1)
		s.begin()
		pause(3 * time.Second)
		s.receive("in", 0, 1, 0, talk())
		pause(time.Second)
		back.Store(int64(time.Hour))
		pause(3 * time.Second)
		f := talk()
		f.sp++
		s.receive("in", 0, 1, time.Hour, f)
		pause(10 * time.Second)
		s.finish()
		beats := s.beats(0)
		late := 0
		for _, b := range beats {
			if b < proto.TimeOf(time.Now().Add(-30*time.Minute)) {
				late++
			}
		}
		if st := s.live.Stats(); late < 10 || len(s.flows()) != 2 || st.Drops["packet_time_back"] != 0 {
			t.Errorf("%d of %d heartbeats after it; flows %+v; %+v", late, len(beats), s.flows(), st)
		}
		if !strings.Contains(s.log.String(), "the clock was set back") {
			t.Error("it is not told")
		}
	})
}

func TestLiveCannotBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, LiveConfig{Interfaces: []string{"in", "out"}, Workers: 2}, 1)
		s.put("in", 0)
		s.put("out", 0)
		if err := s.live.Run(t.Context()); !errors.Is(err, ring.ErrDown) && (err == nil || !strings.Contains(err.Error(), "in") || !strings.Contains(err.Error(), "out")) {
			t.Errorf("no interface: %v", err)
		}
		s.put("out", 1) // one is enough, and the other is tried again
		s.begin()
		pause(time.Second)
		if st := s.live.Stats(); st.Interfaces[0].Up || !st.Interfaces[1].Up {
			t.Errorf("stats %+v", st)
		}
		s.finish()
	})
	for name, cfg := range map[string]LiveConfig{
		"is empty": {}, "named twice": {Interfaces: []string{"a", "a"}}, "workers": {Interfaces: []string{"a"}, Workers: -1},
		"at character 6": {Interfaces: []string{"a"}, Filter: "host pump"}, "ring_bytes": {Interfaces: []string{"a"}, RingBytes: 5},
	} {
		if _, err := NewLive(cfg, nil, 1); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The broker is gone for good while the sensor is to end: it ends, and says so.
func TestLiveEndsWithoutBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, LiveConfig{Interfaces: []string{"in"}, Workers: 1}, 1)
		s.failed = errors.New("the broker is away")
		s.blocked = make(chan struct{})
		s.begin()
		s.receive("in", 0, 1, 0, talk())
		pause(time.Second)
		s.end()
		begun := time.Now()
		if err := <-s.done; !errors.Is(err, s.failed) {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(begun); took > stopWithin+drainWithin {
			t.Errorf("it took %v", took)
		}
	})
}
