package doctor

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ReadMachine looks at this machine.
func ReadMachine() *Machine {
	m := &Machine{CPUs: runtime.NumCPU(), Root: os.Geteuid() == 0, FileCaps: true, MemoryBytes: Memory()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if exe, err := os.Executable(); err == nil {
		if m.Executable, err = filepath.EvalSymlinks(exe); err != nil {
			m.Executable = exe
		}
		var fs unix.Statfs_t
		if unix.Statfs(m.Executable, &fs) == nil && fs.Flags&unix.ST_NOSUID != 0 {
			m.FileCaps = false
		}
	}
	status := procStatus("/proc/self/status")
	if caps, err := strconv.ParseUint(status["CapEff"], 16, 64); err == nil {
		m.NetRaw = caps&(1<<unix.CAP_NET_RAW) != 0
	}
	if status["NoNewPrivs"] == "1" {
		m.FileCaps = false
	}
	if m.NetRaw {
		m.Ring = tryRing()
	}
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		m.Files, m.FilesHard = l.Cur, l.Max
	}
	var t unix.Timex // Modes 0 only reads
	if _, err := unix.Adjtimex(&t); err == nil {
		m.Clock = Clock{Known: true, Synced: t.Status&unix.STA_UNSYNC == 0, Error: time.Duration(t.Esterror) * time.Microsecond}
	}
	return m
}

// tryRing opens a packet socket that is bound to nothing, so that it receives
// nothing, asks for TPACKET_V3, and closes it.
func tryRing() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	return os.NewSyscallError("setsockopt PACKET_VERSION", unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3))
}

// procStatus reads "Name:\tvalue" lines.
func procStatus(path string) map[string]string {
	out := map[string]string{}
	b, err := os.ReadFile(path)
	if err != nil {
		return out
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok {
			out[k] = strings.TrimSpace(v)
		}
	}
	return out
}

// cgroups is where control groups of version 2 are told.
const cgroups = "/sys/fs/cgroup"

// Memory is what this process may use at most, bytes.
func Memory() uint64 {
	var total uint64
	if kb, ok := strings.CutSuffix(procStatus("/proc/meminfo")["MemTotal"], " kB"); ok {
		if n, err := strconv.ParseUint(kb, 10, 64); err == nil {
			total = n << 10
		}
	}
	group := "/"
	if b, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		for line := range strings.Lines(string(b)) {
			if g, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
				group = g
			}
		}
	}
	for ; ; group = filepath.Dir(group) { // every level may set a bound
		if b, err := os.ReadFile(filepath.Join(cgroups, group, "memory.max")); err == nil {
			if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil && (total == 0 || n < total) {
				total = n
			}
		}
		if group == "/" || group == "." {
			return total
		}
	}
}
