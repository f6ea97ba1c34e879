package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// The test captures on rx, and sends on tx, the other end of the wire.
const (
	rx = "wfrx"
	tx = "wftx"
)

// inNamespace is set in the test's program, started again in a network namespace
// of its own.
const inNamespace = "WARDFLOW_CAPTURE_TEST_NAMESPACE"

// wired runs the test in a process with a network namespace of its own, with all
// its threads, and in it a veth pair that has neither addresses nor IPv6. It says
// whether this is that process.
func wired(t *testing.T, tools ...string) bool {
	t.Helper()
	for _, tool := range append(tools, "ip") {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s (Debian, Ubuntu: apt-get install iproute2 tcpreplay)", tool)
		}
	}
	if os.Getenv(inNamespace) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m")
		cmd.Env = append(os.Environ(), inNamespace+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		out, err := cmd.CombinedOutput()
		switch {
		case errors.Is(err, syscall.EPERM):
			t.Skipf("needs the right to make a network namespace (CAP_SYS_ADMIN): %v", err)
		case err != nil:
			t.Errorf("%v\n%s", err, out)
		case strings.Contains(string(out), "--- SKIP"):
			t.Skipf("%s", out)
		case !strings.Contains(string(out), "--- PASS: "+t.Name()):
			t.Errorf("it did not run:\n%s", out)
		default:
			t.Logf("%s", out)
		}
		return false
	}
	for _, which := range []string{"all", "default"} {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0)
		if err != nil && !os.IsNotExist(err) {
			t.Skipf("needs the right to turn IPv6 off in its namespace: %v", err)
		}
	}
	ip(t, "link", "add", rx, "type", "veth", "peer", "name", tx)
	ip(t, "link", "set", rx, "mtu", "9000", "up")
	ip(t, "link", "set", tx, "mtu", "9000", "up")
	return true
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// transmitted is how many packets an interface has sent.
func transmitted(t *testing.T, name string) uint64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			n, err := strconv.ParseUint(strings.Fields(rest)[9], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in %s", name, text)
	return 0
}

// tally is a broker that adds flows up, whatever parts they came in.
type tally struct {
	mu    sync.Mutex
	flows map[proto.ID]counted
	items int
}

// counted is what does not depend on when packets come.
type counted struct {
	src, dst                   proto.ID
	srcAddr, dstAddr, protocol string
	numbers                    [6]uint64
}

func (a *tally) Produce(_ context.Context, m bus.Message, _ func(error)) {
	var b proto.Batch
	if err := proto.Unmarshal(m.Value, &b); err != nil {
		panic(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range b.Items {
		a.items++
		a.add(&b.Items[i])
	}
}

func (a *tally) Flush(context.Context) error { return nil }

func (a *tally) add(it *proto.Item) {
	f := it.Flow
	if f == nil || it.Mirror {
		return
	}
	if a.flows == nil {
		a.flows = map[proto.ID]counted{}
	}
	c := a.flows[f.FlowID]
	c.src, c.dst, c.protocol = f.SrcEndpoint, f.DstEndpoint, f.Protocol
	c.srcAddr, c.dstAddr = fmt.Sprintf("%v:%d", f.SrcIP, f.SrcPort), fmt.Sprintf("%v:%d", f.DstIP, f.DstPort)
	for i, n := range [...]uint64{f.SrcPackets, f.SrcBytes, f.SrcPayloadBytes, f.DstPackets, f.DstBytes, f.DstPayloadBytes} {
		c.numbers[i] += n
	}
	a.flows[f.FlowID] = c
}

// read is what a file gives when its packets come as fast as they are replayed.
func read(t *testing.T, file string) (flows map[proto.ID]counted, packets uint64) {
	t.Helper()
	r, err := capfile.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var a tally
	p := New(Config{Site: site, Sensor: "tap", Emit: func(it proto.Item) { a.add(&it) }})
	var pkt capfile.Packet
	for {
		err := r.Next(&pkt)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		packets++
		p.Packet(pkt.LinkType, epoch.Add(time.Duration(packets)*time.Microsecond), pkt.Data, len(pkt.Data))
	}
	p.End()
	return a.flows, packets
}

// replayed files have nothing that depends on when packets come, and no fragments.
func replayed(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../testdata/ward-a/*.pcap*")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/ward-a is not there: %v", err)
	}
	for _, name := range []string{"hl7", "dicom", "bacnet"} {
		file := filepath.Join(filepath.Dir(repotest.Root(t)), "shared", "captures", "clinical", name+".pcap")
		if _, err := os.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	return files
}

// running is a live sensor of the namespace.
func running(t *testing.T, cfg LiveConfig, w writer) (*Live, func()) {
	t.Helper()
	cfg.Interfaces, cfg.Promiscuous = []string{rx}, true
	cfg.Processor.Site, cfg.Processor.Sensor = site, "tap"
	l, err := NewLive(cfg, w, 4)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	until(t, "the interface is up", func() bool { return l.Stats().Interfaces[0].Up })
	return l, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); pause(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waiting in vain: %s", what)
		}
	}
}

// What is captured live from a wire is what is read from the file.
func TestLiveEqualsFile(t *testing.T) {
	if !wired(t, "tcpreplay") {
		return
	}
	before := transmitted(t, rx)
	for _, file := range replayed(t) {
		want, packets := read(t, file)
		for _, workers := range []int{1, 2} {
			name := fmt.Sprintf("%s with %d workers", filepath.Base(file), workers)
			var got tally
			l, end := running(t, LiveConfig{Workers: workers}, &got)
			sent := transmitted(t, tx)
			if out, err := exec.Command("tcpreplay", "--quiet", "--topspeed", "--intf1="+tx, file).CombinedOutput(); err != nil {
				t.Fatalf("tcpreplay %s: %v\n%s", file, err, out)
			}
			if n := transmitted(t, tx) - sent; n != packets {
				t.Fatalf("%s: tcpreplay sent %d packets of %d", name, n, packets)
			}
			until(t, name+": all packets read", func() bool { return l.Stats().Packets >= packets })
			end()
			st := l.Stats()
			if st.Packets != packets || st.Drops[DropRingFull] != 0 || st.Drops[DropRingBlock] != 0 || st.Flows != uint64(len(want)) {
				t.Errorf("%s: %d packets, want %d; %d flows, want %d; drops %v", name, st.Packets, packets, st.Flows, len(want), st.Drops)
			}
			different(t, name, got.flows, want, workers == 1)
			t.Logf("%s: %d packets, %d flows", name, packets, len(want))
		}
	}
	if after := transmitted(t, rx); after != before {
		t.Errorf("we have sent %d packets", after-before)
	}
}

// different reports what is not the same; the endpoints of the first flows of a
// host depend on which worker is first.
func different(t *testing.T, name string, got, want map[proto.ID]counted, endpoints bool) {
	t.Helper()
	bad := 0
	for id, w := range want {
		g, ok := got[id]
		if !endpoints {
			g.src, g.dst, w.src, w.dst = proto.ID{}, proto.ID{}, proto.ID{}, proto.ID{}
		}
		if g != w {
			if bad++; bad < 4 {
				t.Errorf("%s: flow %v, there %v\n got %+v\nwant %+v", name, id, ok, g, w)
			}
		}
	}
	if len(got) != len(want) || bad > 0 {
		t.Errorf("%s: %d flows, want %d; %d are different", name, len(got), len(want), bad)
	}
}

// The kernel takes VLAN tags off before it asks the filter, and the ring puts
// them back: filter and flows see them nevertheless.
func TestLiveFilter(t *testing.T) {
	if !wired(t) {
		return
	}
	plain := talk().bytes()
	tag := func(ids ...int) []byte {
		out := append([]byte{}, plain[:12]...)
		for _, id := range ids {
			out = append(append(out, be(0x8100)...), be(id)...)
		}
		return append(out, plain[12:]...)
	}
	frames := [][]byte{plain, tag(5), tag(5, 9), arp(pumpMAC, pump)}
	for expr, want := range map[string]uint64{
		"": 4, "vlan": 2, "vlan 5": 2, "vlan 9": 1, "not vlan": 2, "host 10.0.0.1": 4, "udp dst port 9999": 3, "vlan 5 and arp": 0, "not vlan 9 and udp": 2, "ether src 00:11:22:00:00:01": 4,
	} {
		var got tally
		l, end := running(t, LiveConfig{Workers: 1, Filter: expr}, &got)
		for _, f := range frames {
			transmit(t, tx, f)
		}
		if want > 0 {
			until(t, expr, func() bool { return l.Stats().Packets >= want })
		}
		end()
		if st := l.Stats(); st.Packets != want {
			t.Errorf("%q: %d packets, want %d", expr, st.Packets, want)
		}
	}
}

// transmit sends a frame on an interface.
func transmit(t *testing.T, name string, frame []byte) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	i, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Sendto(fd, frame, 0, &syscall.SockaddrLinklayer{Ifindex: i.Index}); err != nil {
		t.Fatal(err)
	}
}

// rateOf is set to measure, by `go tool task live`.
const rateOf = "WARDFLOW_LIVE_RATE"

var replayRate = regexp.MustCompile(`Rated: ([0-9.]+) Bps, [0-9.]+ Mbps, ([0-9.]+) pps`)

// TestLiveRate raises the rate at which a file is replayed in a loop until the
// kernel drops the first packet, and prints the rates with and without drops.
func TestLiveRate(t *testing.T) {
	file := os.Getenv(rateOf)
	if file == "" {
		t.Skipf("a measurement: set %s to a capture file, or run `go tool task live`", rateOf)
	}
	if !wired(t, "tcpreplay") {
		return
	}
	workers, _ := strconv.Atoi(os.Getenv(rateOf + "_WORKERS"))
	_, packets := read(t, file)
	fmt.Printf("%s: %d packets a loop; %d workers (0: by processors)\n", filepath.Base(file), packets, workers)
	fmt.Printf("%12s %12s %10s %10s %10s %12s\n", "asked pps", "sent pps", "Mbit/s", "drops", "CPU %", "flows")
	for pps := 50_000.0; ; pps *= 1.25 {
		asked := fmt.Sprintf("--pps=%.0f", pps)
		if pps > 3e6 {
			asked = "--topspeed"
		}
		sent, drops := measure(t, file, asked, workers, max(int(10*pps/float64(packets)), 1))
		if drops > 0 || asked == "--topspeed" || sent < 0.7*pps {
			break
		}
	}
}

// measure replays a file at a rate and prints what came of it.
func measure(t *testing.T, file, asked string, workers, loops int) (sent float64, drops uint64) {
	t.Helper()
	var sink discard
	l, end := running(t, LiveConfig{Workers: workers}, sink)
	cpu, begun, before := used(t), time.Now(), transmitted(t, tx)
	out, err := exec.Command("tcpreplay", "--preload-pcap", asked, "--loop="+strconv.Itoa(loops), "--intf1="+tx, file).CombinedOutput()
	if err != nil {
		t.Fatalf("tcpreplay: %v\n%s", err, out)
	}
	took := time.Since(begun)
	n := transmitted(t, tx) - before
	until(t, "all packets counted", func() bool { s := l.Stats(); return s.Packets+s.Drops[DropRingFull] >= n })
	cpu = used(t) - cpu
	end()
	m := replayRate.FindStringSubmatch(string(out))
	if m == nil {
		t.Fatalf("tcpreplay says no rate:\n%s", out)
	}
	bytes, _ := strconv.ParseFloat(m[1], 64)
	sent, _ = strconv.ParseFloat(m[2], 64)
	st := l.Stats()
	fmt.Printf("%12s %12.0f %10.0f %10d %10.0f %12d\n", strings.TrimPrefix(asked, "--pps="), sent, bytes*8/1e6, st.Drops[DropRingFull], 100*cpu.Seconds()/took.Seconds(), st.Flows)
	return sent, st.Drops[DropRingFull]
}

// discard is a broker that takes everything.
type discard struct{}

func (discard) Produce(context.Context, bus.Message, func(error)) {}
func (discard) Flush(context.Context) error                       { return nil }

// used is the processor time of this process.
func used(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
