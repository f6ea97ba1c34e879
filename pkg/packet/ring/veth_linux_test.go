package ring

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test receives on rx, and sends on tx, the other end of the wire.
const (
	rx = "wfrx"
	tx = "wftx"
)

// wire puts the test's thread into a network namespace of its own, with a veth
// pair in it that has neither addresses nor IPv6. The namespace has no name, so
// that it ends with the thread, and the thread with the test, whatever happens.
func wire(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip of iproute2")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		t.Skipf("needs the right to make a network namespace (CAP_SYS_ADMIN): %v", err)
	}
	// One processor keeps the order: the kernel's receive queues are per processor.
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil {
		t.Fatal(err)
	}
	for i := range 1024 {
		if cpus.IsSet(i) {
			cpus.Zero()
			cpus.Set(i)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &cpus); err != nil {
		t.Fatal(err)
	}
	for _, which := range []string{"all", "default"} {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0)
		if err != nil && !os.IsNotExist(err) {
			t.Skipf("needs the right to turn IPv6 off in its namespace: %v", err)
		}
	}
	ip(t, "link", "add", rx, "type", "veth", "peer", "name", tx)
	ip(t, "link", "set", rx, "up")
	ip(t, "link", "set", tx, "up")
}

// ip runs iproute2 in the test's namespace: a child is forked by its thread.
func ip(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// transmitted reads the transmit counter of an interface.
func transmitted(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[9])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in %s", name, text)
	return 0
}

// sender is a raw socket on an interface.
type sender struct {
	t  *testing.T
	fd int
}

func newSender(t *testing.T, name string) sender {
	t.Helper()
	index, err := findInterface(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index}); err != nil {
		t.Fatal(err)
	}
	return sender{t, fd}
}

func (s sender) send(frame []byte) {
	s.t.Helper()
	if n, err := unix.Write(s.fd, frame); err != nil || n != len(frame) {
		s.t.Fatalf("send %d bytes: %d, %v", len(frame), n, err)
	}
}

// frame is a UDP datagram of a flow of its own in Ethernet, tagged where tags
// are given; i is in port and payload.
func frame(i, payload int, tags ...uint16) []byte {
	be := binary.BigEndian
	b := append([]byte{}, 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1)
	for _, tag := range tags {
		b = be.AppendUint16(be.AppendUint16(b, 0x8100), tag)
	}
	b = append(b, 0x08, 0, 0x45, 0)
	b = be.AppendUint16(b, uint16(28+payload))
	b = append(b, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2)
	b = be.AppendUint16(be.AppendUint16(b, uint16(1024+i%60000)), 2575)
	b = be.AppendUint16(be.AppendUint16(b, uint16(8+payload)), 0)
	data := make([]byte, payload)
	copy(data, fmt.Sprintf("%d", i))
	return append(b, data...)
}

// small is a ring that fits the memory of a test.
func small() Config {
	return Config{Interface: rx, BlockBytes: 64 << 10, Blocks: 32, BlockTimeout: 10 * time.Millisecond}
}

func open(t *testing.T, cfg Config) *Ring {
	t.Helper()
	r, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func counters(t *testing.T, r *Ring) Stats {
	t.Helper()
	s, err := r.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
