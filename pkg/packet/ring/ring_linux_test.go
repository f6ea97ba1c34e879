package ring

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

func TestReceive(t *testing.T) {
	wire(t)
	cfg := small()
	cfg.Promiscuous = true
	r := open(t, cfg)
	before := transmitted(t, rx)
	s := newSender(t, tx)
	// Several times what the ring holds, so that every block is used again.
	const n, perTurn = 6000, 500
	ctx := within(t, 30*time.Second)
	start := proto.TimeOf(time.Now())
	var p Packet
	for first := 0; first < n; first += perTurn {
		for i := range perTurn {
			s.send(numbered(first + i))
		}
		for i := range perTurn {
			if err := r.Next(ctx, &p); err != nil {
				t.Fatalf("packet %d: %v", first+i, err)
			}
			want := numbered(first + i)
			if !bytes.Equal(p.Data, want) || p.WireLen != len(want) {
				t.Fatalf("packet %d: got % x of %d, want % x", first+i, p.Data, p.WireLen, want)
			}
			if tagged := (first+i)%3 != 0; p.Stripped != tagged || p.LinkType != packet.LinkEthernet || p.Direction != ToOther {
				t.Fatalf("packet %d: stripped %v, link %d, direction %d", first+i, p.Stripped, p.LinkType, p.Direction)
			}
			if p.Time < start-1e9 || p.Time > proto.TimeOf(time.Now())+1e9 {
				t.Fatalf("packet %d: time %d is not about now, %d", first+i, p.Time, start)
			}
		}
	}
	if got, want := counters(t, r), (Stats{Received: n}); got != want {
		t.Errorf("counters %+v, want %+v", got, want)
	}
	if after := transmitted(t, rx); after != before {
		t.Errorf("the receiving interface sent %d packets", after-before)
	}
	if sent := transmitted(t, tx); sent != n {
		t.Errorf("the other end sent %d packets, want %d", sent, n)
	}
}

// numbered frames have no tag, one, or two, in turn, and many lengths.
func numbered(i int) []byte {
	return frame(i, 10+i*7%1400, []uint16{0x6000 | uint16(i%4094+1), 7}[:i%3]...)
}

func TestDropsAreCounted(t *testing.T) {
	wire(t)
	cfg := small()
	cfg.BlockBytes, cfg.Blocks = 4096, 2
	r := open(t, cfg)
	s := newSender(t, tx)
	const n = 500
	for i := range n {
		s.send(frame(i, 1000))
	}
	got := counters(t, r)
	if got.Drops == 0 || got.Freezes == 0 || got.Received == 0 || got.Received+got.Drops != n {
		t.Errorf("counters %+v, want received and drops to be %d together", got, n)
	}
	var p Packet
	for i := range got.Received {
		if err := r.Next(within(t, 5*time.Second), &p); err != nil || !bytes.Equal(p.Data, frame(int(i), 1000)) {
			t.Fatalf("packet %d of %d that it has: %v", i, got.Received, err)
		}
	}
	// The full ring goes on once it has been read.
	s.send(frame(n, 1000))
	if err := r.Next(within(t, 5*time.Second), &p); err != nil || !bytes.Equal(p.Data, frame(n, 1000)) {
		t.Errorf("after the drops: %v", err)
	}
	if again := counters(t, r); again.Drops != got.Drops || again.Received != got.Received+1 {
		t.Errorf("counters %+v after %+v and one more packet", again, got)
	}
}

func TestSnapLenAndFilter(t *testing.T) {
	wire(t)
	cfg := small()
	cfg.SnapLen = 60
	// Ethernet type at 12 is IPv4: keep all; else nothing.
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x0800, SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 18},
		bpf.RetConstant{},
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Filter = filter
	r := open(t, cfg)
	s := newSender(t, tx)
	other := frame(1, 100)
	other[12], other[13] = 0x88, 0xb5 // IEEE 802, local experiments
	s.send(other)
	s.send(frame(2, 100))
	var p Packet
	if err := r.Next(within(t, 5*time.Second), &p); err != nil {
		t.Fatal(err)
	}
	if want := frame(2, 100); !bytes.Equal(p.Data, want[:60]) || p.WireLen != len(want) {
		t.Errorf("got %d bytes of %d, want 60 of %d", len(p.Data), p.WireLen, len(want))
	}
	if got := counters(t, r); got != (Stats{Received: 1}) {
		t.Errorf("counters %+v, want one packet", got)
	}
}

func TestOutgoing(t *testing.T) {
	wire(t)
	cfg := small()
	without := open(t, cfg)
	cfg.Fanout = true
	group := open(t, cfg)
	cfg.Outgoing, cfg.Fanout = true, false
	with := open(t, cfg)
	newSender(t, rx).send(frame(1, 10))
	newSender(t, tx).send(frame(2, 10))
	var p Packet
	for i, want := range []Direction{Outgoing, ToOther} {
		if err := with.Next(within(t, 5*time.Second), &p); err != nil || p.Direction != want || !bytes.Equal(p.Data, frame(i+1, 10)) {
			t.Errorf("packet %d: %v, direction %d", i+1, err, p.Direction)
		}
	}
	if err := without.Next(within(t, 5*time.Second), &p); err != nil || !bytes.Equal(p.Data, frame(2, 10)) {
		t.Errorf("a ring without outgoing packets: %v, direction %d", err, p.Direction)
	}
	for name, r := range map[string]*Ring{"alone": without, "in a group": group} {
		if got := counters(t, r); got != (Stats{Received: 1}) {
			t.Errorf("%s: counters %+v, want one packet", name, got)
		}
	}
}

func TestFanout(t *testing.T) {
	wire(t)
	cfg := small()
	cfg.Fanout = true
	a, others := open(t, cfg), open(t, cfg)
	cfg.Fanout, cfg.FanoutWith = false, a
	b := open(t, cfg)
	s := newSender(t, tx)
	const n = 400
	for i := range n {
		s.send(frame(i, 100))
	}
	x, y := counters(t, a), counters(t, b)
	if x.Received+y.Received != n || x.Received == 0 || y.Received == 0 || x.Drops+y.Drops != 0 {
		t.Errorf("two rings of a group got %+v and %+v of %d packets", x, y, n)
	}
	if z := counters(t, others); z.Received != n {
		t.Errorf("a ring of another group got %+v of %d packets", z, n)
	}
}

func TestTryNext(t *testing.T) {
	wire(t)
	r := open(t, small())
	var p Packet
	if r.TryNext(&p) || r.Check() != nil {
		t.Error("a packet before any was sent, or an error")
	}
	newSender(t, tx).send(frame(1, 10))
	ctx := within(t, 5*time.Second)
	got := r.TryNext(&p)
	for ; !got && ctx.Err() == nil; got = r.TryNext(&p) {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}, 10); err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
	if !got || !bytes.Equal(p.Data, frame(1, 10)) || r.TryNext(&p) {
		t.Errorf("got %v", p)
	}
	ip(t, "link", "set", rx, "down")
	if err := r.Check(); !errors.Is(err, ErrDown) {
		t.Errorf("interface set down: %v", err)
	}
	if err := r.Check(); err != nil {
		t.Errorf("it is told twice: %v", err)
	}
}

func TestLinkTypeOf(t *testing.T) {
	wire(t)
	if got, err := LinkTypeOf(rx); err != nil || got != packet.LinkEthernet {
		t.Errorf("veth: %v, %v", got, err)
	}
	for name, want := range map[string]string{"any": "name the interfaces", "nosuch0": "there are lo"} {
		if _, err := LinkTypeOf(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLimited(t *testing.T) {
	ret := func(k uint32) bpf.RawInstruction { return bpf.RawInstruction{Op: unix.BPF_RET | unix.BPF_K, K: k} }
	load := bpf.RawInstruction{Op: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN}
	computed := bpf.RawInstruction{Op: unix.BPF_RET | unix.BPF_A}
	tests := []struct {
		name     string
		snap     int
		in, want []bpf.RawInstruction
	}{
		{"nothing asked", 0, nil, nil},
		{"whole frames", 0, []bpf.RawInstruction{ret(1 << 18)}, []bpf.RawInstruction{ret(1 << 18)}},
		{"no filter", 60, nil, []bpf.RawInstruction{ret(60)}},
		{"longer, shorter, none", 60, []bpf.RawInstruction{ret(1 << 18), ret(20), ret(0)}, []bpf.RawInstruction{ret(60), ret(20), ret(0)}},
		{"computed", 60, []bpf.RawInstruction{load, computed}, []bpf.RawInstruction{load, computed}},
	}
	for _, test := range tests {
		given := slices.Clone(test.in)
		if got := limited(test.in, test.snap); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
		if !slices.Equal(test.in, given) {
			t.Errorf("%s: the caller's filter is changed to %v", test.name, test.in)
		}
	}
}

func TestPromiscuousEndsWithSocket(t *testing.T) {
	wire(t)
	promiscuity := func() string {
		_, rest, _ := strings.Cut(ip(t, "-details", "link", "show", rx), "promiscuity ")
		n, _, _ := strings.Cut(rest, " ")
		return n
	}
	cfg := small()
	cfg.Promiscuous = true
	before := promiscuity()
	r, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	during := promiscuity()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if after := promiscuity(); before != "0" || during != "1" || after != "0" {
		t.Errorf("promiscuity is %q before, %q while open, %q after", before, during, after)
	}
}

// TestNoBusyLoop waits for a block that never comes while the socket says all
// the time that it is readable.
func TestNoBusyLoop(t *testing.T) {
	wire(t)
	r := open(t, small())
	newSender(t, tx).send(frame(1, 10))
	ready := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}
	for ready[0].Revents&unix.POLLIN == 0 {
		if n, err := unix.Poll(ready, 5000); n == 0 && !errors.Is(err, unix.EINTR) {
			t.Fatalf("no packet in 5 s: %v", err)
		}
	}
	before := used(t)
	if err := r.wait(within(t, 300*time.Millisecond), make([]byte, blockHeader)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the context's error", err)
	}
	if cost := used(t) - before; cost > 50*time.Millisecond {
		t.Errorf("waiting 300 ms took %v of processor time", cost)
	}
}

// used is the processor time of the test's thread, to which wire locks it.
func used(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestContextEndsWait also holds that waiting costs no processor time.
func TestContextEndsWait(t *testing.T) {
	wire(t)
	r := open(t, small())
	newSender(t, tx).send(frame(1, 10))
	var p Packet
	if err := r.Next(within(t, 5*time.Second), &p); err != nil {
		t.Fatal(err)
	}
	before := used(t)
	if err := r.Next(within(t, 300*time.Millisecond), &p); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the context's error", err)
	}
	if cost := used(t) - before; cost > 50*time.Millisecond {
		t.Errorf("waiting 300 ms took %v of processor time", cost)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Next(ended, &p); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	// It can go on with another context.
	newSender(t, tx).send(frame(2, 10))
	if err := r.Next(within(t, 5*time.Second), &p); err != nil || !bytes.Equal(p.Data, frame(2, 10)) {
		t.Errorf("after a context's end: %v", err)
	}
}

func TestInterfaceDown(t *testing.T) {
	wire(t)
	r := open(t, small())
	ip(t, "link", "set", rx, "down")
	var p Packet
	err := r.Next(within(t, 5*time.Second), &p)
	if !errors.Is(err, ErrDown) || !strings.Contains(err.Error(), rx) {
		t.Errorf("interface set down: %v", err)
	}
	if _, err = Open(small()); !errors.Is(err, ErrDown) || !strings.Contains(err.Error(), "ip link set dev "+rx+" up") {
		t.Errorf("open on an interface that is down: %v", err)
	}
	cfg := small()
	cfg.Interface = "nosuch0"
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), rx) || !strings.Contains(err.Error(), tx) {
		t.Errorf("an unknown interface: %v; want the names of those there", err)
	}
}

func TestClosed(t *testing.T) {
	wire(t)
	r, err := Open(small())
	if err != nil {
		t.Fatal(err)
	}
	newSender(t, tx).send(frame(1, 10))
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := counters(t, r); got != (Stats{Received: 1}) {
		t.Errorf("counters after Close: %+v", got)
	}
	var p Packet
	if err := r.Next(t.Context(), &p); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("read after Close: %v", err)
	}
	r.wakeUp() // late, of a context that ended: touches nothing
}
