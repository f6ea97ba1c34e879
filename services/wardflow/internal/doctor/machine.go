package doctor

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Machine is what this machine is, for this process.
type Machine struct {
	Kernel      string // release, such as 6.1.0-18-amd64
	CPUs        int
	Root        bool   // effective user 0
	NetRaw      bool   // CAP_NET_RAW is effective
	Executable  string // path of the program
	FileCaps    bool   // NET_RAW can be given by the file: it may be executed with it (not mounted nosuid, no no_new_privs)
	Ring        error  // of opening a TPACKET_V3 socket; asked only with NetRaw
	Files       uint64 // open files at most, soft
	FilesHard   uint64
	MemoryBytes uint64 // of the machine, or of the control group when that is less; 0 unknown
	Clock       Clock
}

// Clock is what the kernel knows of its own clock.
type Clock struct {
	Known  bool
	Synced bool          // somebody disciplines it (adjtimex: not STA_UNSYNC)
	Error  time.Duration // estimated, when synced
}

// The bounds that machines are judged by.
const (
	minFiles      = 4096    // connections, Pebble's tables, ClickHouse's parts
	minMemory     = 2 << 30 // one service
	embeddedUsual = 4 << 30 // everything on one machine
	maxClockError = time.Second
)

// JudgeMachine judges; capture says that this machine is to capture, embedded
// that broker and ClickHouse run here too.
func JudgeMachine(m *Machine, capture, embedded bool) []Result {
	f := &findings{area: "machine"}
	judgeKernel(f, m)
	judgePrivilege(f, m, capture)
	switch {
	case m.Files == 0:
		f.add(Skipped, "open files", "", "the limit is not known")
	case m.Files < minFiles:
		f.add(Warning, "open files", fmt.Sprintf("ulimit -n %d in the shell, LimitNOFILE=65536 in a systemd unit", max(minFiles, min(m.FilesHard, 65536))), "at most %d (hard limit %d), want %d", m.Files, m.FilesHard, minFiles)
	default:
		f.ok("open files", "at most %d", m.Files)
	}
	want := uint64(minMemory)
	if embedded {
		want = embeddedUsual
	}
	switch {
	case m.MemoryBytes == 0:
		f.add(Skipped, "memory", "", "its size is not known")
	case m.MemoryBytes < want:
		f.add(Warning, "memory", "give it more, or lower embedded.clickhouse_max_memory, fold.cache_bytes and capture.max_memory", "%s, want %s", bytesText(m.MemoryBytes), bytesText(want))
	default:
		f.ok("memory", "%s for %d processors", bytesText(m.MemoryBytes), m.CPUs)
	}
	judgeClock(f, &m.Clock)
	return f.list
}

func judgeKernel(f *findings, m *Machine) {
	major, minor, ok := release(m.Kernel)
	switch {
	case !ok:
		f.add(Skipped, "kernel", "capture runs on Linux; everything else also here", "no Linux kernel (%s)", m.Kernel)
	case major < 3 || (major == 3 && minor < 10):
		f.add(Problem, "kernel", "install a kernel of 3.10 or later", "%s has no usable TPACKET_V3", m.Kernel)
	case major < 4:
		f.add(Warning, "kernel", "install a kernel that is still maintained", "%s is old", m.Kernel)
	default:
		f.ok("kernel", "%s", m.Kernel)
	}
}

// release reads the leading "major.minor" of a kernel release.
func release(s string) (major, minor int, ok bool) {
	a, rest, found := strings.Cut(s, ".")
	if !found {
		return 0, 0, false
	}
	b := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	major, err1 := strconv.Atoi(a)
	minor, err2 := strconv.Atoi(b)
	return major, minor, err1 == nil && err2 == nil
}

func judgePrivilege(f *findings, m *Machine, capture bool) {
	missing := Warning
	if capture {
		missing = Problem
	}
	switch {
	case m.NetRaw && m.Ring != nil:
		f.add(missing, "packet ring", "a seccomp filter or a container's policy forbids it: allow AF_PACKET sockets", "cannot be opened: %v", m.Ring)
	case m.NetRaw && m.Root:
		f.ok("packet ring", "can be opened (as root; CAP_NET_RAW alone is enough)")
	case m.NetRaw:
		f.ok("packet ring", "can be opened with CAP_NET_RAW")
	case !m.FileCaps:
		f.add(missing, "packet ring", "run capture by its systemd unit (AmbientCapabilities=CAP_NET_RAW), or as root: here a file's capabilities do not work (no_new_privs or nosuid)", "this user may not capture: CAP_NET_RAW is missing")
	default:
		f.add(missing, "packet ring", "sudo setcap cap_net_raw+ep "+m.Executable+", or run capture by its systemd unit", "this user may not capture: CAP_NET_RAW is missing (reading files needs none)")
	}
}

func judgeClock(f *findings, c *Clock) {
	const do = "start chrony, ntpd or systemd-timesyncd: a sensor more than 60 s off is set aside"
	switch {
	case !c.Known:
		f.add(Skipped, "clock", do, "whether it is synchronised is not known")
	case !c.Synced:
		f.add(Warning, "clock", do, "nobody synchronises it")
	case c.Error > maxClockError:
		f.add(Warning, "clock", "look at `chronyc tracking` or `timedatectl timesync-status`", "synchronised, but perhaps %s off", apart(c.Error))
	default:
		f.ok("clock", "synchronised, about %s off", apart(c.Error))
	}
}
