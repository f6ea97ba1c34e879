//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/config"
)

func TestIntake(t *testing.T) {
	dir, file := t.TempDir(), tempFile(t, "a.pcap", "")
	live, watch := "interfaces: [eth7]", "watch_dir: "+dir
	tests := map[string]struct {
		flags intakeFlags
		conf  string
		want  string // read, live, watch, nothing, or what the error says
	}{
		"nothing":               {want: "nothing"},
		"a file":                {flags: intakeFlags{Read: []string{file}}, want: "read"},
		"an interface":          {flags: intakeFlags{Interface: []string{"eth1", "eth2"}, Workers: 3, Filter: "tcp"}, want: "live"},
		"a folder":              {flags: intakeFlags{Watch: dir}, want: "watch"},
		"configured":            {conf: live, want: "live"},
		"configured folder":     {conf: watch, want: "watch"},
		"flag over file":        {conf: live, flags: intakeFlags{Watch: dir}, want: "watch"},
		"file over interfaces":  {conf: live, flags: intakeFlags{Read: []string{file}}, want: "read"},
		"filter of the file":    {conf: live, flags: intakeFlags{Filter: "tcp"}, want: "live"},
		"both configured":       {conf: live + "\n  " + watch, want: "say by --interface or --watch"},
		"two flags":             {flags: intakeFlags{Read: []string{file}, Watch: dir}, want: "give one of them"},
		"filter without":        {flags: intakeFlags{Filter: "tcp"}, want: "go with --interface"},
		"speed without":         {flags: intakeFlags{Interface: []string{"a"}, Speed: 2}, want: "goes with --read"},
		"a bad filter":          {flags: intakeFlags{Interface: []string{"a"}, Filter: "host pump"}, want: `at character 6, before "pump"`},
		"an interface twice":    {flags: intakeFlags{Interface: []string{"a", "a"}}, want: "named twice"},
		"too many workers":      {flags: intakeFlags{Interface: []string{"a"}, Workers: 65}, want: "want 1 to 64"},
		"interface and a speed": {conf: live, flags: intakeFlags{Speed: 1}, want: "goes with --read"},
	}
	for name, test := range tests {
		src := config.Source{}
		if test.conf != "" {
			src.File = tempFile(t, "wardflow.yaml", "capture:\n  "+test.conf+"\n")
		}
		l, err := config.Load(src)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		in, err := test.flags.choose(&l.Config)
		got := "nothing"
		switch {
		case err != nil:
			var usage usageError
			if got = err.Error(); strings.Contains(got, test.want) && errors.As(err, &usage) {
				got = test.want
			}
		case len(in.read) > 0:
			got = "read"
		case in.live:
			got = "live"
		case in.watch:
			got = "watch"
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
		if c := l.Capture; name == "an interface" && (c.Workers != 3 || c.Filter != "tcp" || len(c.Interfaces) != 2) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestIntakeUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"say where packets come from": {"capture"},
		"has no end":                  {"up", "--once", "--interface", "eth1"},
		"simulated ward":              {"up", "--demo", "--interface", "eth1"},
		"give one of them":            {"up", "--watch", t.TempDir(), "--interface", "eth1"},
	} {
		if got := runCLI(t, nil, "", args...); got.code != exitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

// wireTest is set in the test's program, started again in a network namespace of
// its own; its value is the program that is tested.
const wireTest = "WARDFLOW_TEST_WIRE"

const ordinary = 65534 // nobody

// The whole program captures as an ordinary user with one right, and its children
// have none.
func TestUpCapturesAsOrdinaryUser(t *testing.T) {
	if testing.Short() {
		t.Skip("whole-program test")
	}
	for _, tool := range []string{"ip", "tcpreplay"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s (Debian, Ubuntu: apt-get install iproute2 tcpreplay)", tool)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("needs to be root, to make a network namespace and to give it up")
	}
	if bin := os.Getenv(wireTest); bin != "" {
		onTheWire(t, bin)
		return
	}
	onKafkaOnly(t)
	builtBinary = true
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestUpCapturesAsOrdinaryUser$", "-test.v", "-test.timeout=4m")
	cmd.Env = append(os.Environ(), wireTest+"="+bin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM):
		t.Skipf("needs the right to make a network namespace: %v", err)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case !strings.Contains(string(out), "--- PASS: TestUpCapturesAsOrdinaryUser"):
		t.Fatalf("it did not run:\n%s", out)
	}
}

// loud is output that is read while it is written.
type loud struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *loud) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *loud) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func onTheWire(t *testing.T, bin string) {
	for _, which := range []string{"all", "default"} {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0)
		if err != nil && !os.IsNotExist(err) {
			t.Skipf("needs the right to turn IPv6 off in its namespace: %v", err)
		}
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", "wfrx", "type", "veth", "peer", "name", "wftx"},
		{"link", "set", "wfrx", "up"},
		{"link", "set", "wftx", "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v\n%s", args, err, out)
		}
	}
	start := everybodys(t, bin)
	var said loud
	up := start("up", "--interface", "wfrx")
	up.Stdout, up.Stderr = &said, &said
	up.SysProcAttr.AmbientCaps = []uintptr{13} // CAP_NET_RAW
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- up.Wait() }()
	t.Cleanup(func() { _ = up.Process.Kill() })
	for deadline := time.After(time.Minute); !strings.Contains(said.String(), "Capturing interface wfrx"); {
		select {
		case err := <-ended:
			if os.Getenv("CI") == "" && (strings.Contains(said.String(), "task deps") || strings.Contains(said.String(), "permission denied")) {
				t.Skipf("no ClickHouse that an ordinary user can start:\n%s", &said)
			}
			t.Fatalf("it ended: %v\n%s", err, &said)
		case <-deadline:
			t.Fatalf("it does not capture\n%s", &said)
		case <-time.After(50 * time.Millisecond):
		}
	}
	rights(t, up.Process.Pid)
	if out, err := exec.Command("tcpreplay", "--quiet", "--topspeed", "--intf1=wftx", wardFiles(t)[0]).CombinedOutput(); err != nil {
		t.Fatalf("tcpreplay: %v\n%s", err, out)
	}
	var devices []byte
	for deadline := time.Now().Add(time.Minute); !strings.Contains(string(devices), "SOMATOM"); {
		if time.Now().After(deadline) {
			t.Fatalf("no device is seen:\n%s\n%s", devices, &said)
		}
		devices, _ = start("devices").CombinedOutput()
	}
	if err := up.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil || strings.Contains(said.String(), "LOST") {
			t.Errorf("it ended with %v\n%s", err, &said)
		}
	case <-time.After(time.Minute):
		t.Errorf("it does not end\n%s", &said)
	}
}

// everybodys copies the program to where an ordinary user can run it, and gives
// what starts it as one.
func everybodys(t *testing.T, bin string) func(args ...string) *exec.Cmd {
	t.Helper()
	dir, err := os.MkdirTemp("", "wardflow-wire-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	raw, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	file, data := filepath.Join(dir, "wardflow"), filepath.Join(dir, "data")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(file, raw, 0o755), os.Mkdir(data, 0o700), os.Chown(data, ordinary, ordinary)); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command(file, append(args, "--data-dir", data, "--set", "site=lab")...)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "HOME="+data)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinary, Gid: ordinary}, Pdeathsig: syscall.SIGKILL}
		return cmd
	}
}

// rights checks that a process has CAP_NET_RAW only, and its children nothing. The
// threads of it that look after children have nothing either, and its first thread,
// for which the kernel shows a process's rights, may be one of them.
func rights(t *testing.T, pid int) {
	t.Helper()
	const none, raw = "0000000000000000", "0000000000002000"
	check := func(p process, want ...string) {
		t.Helper()
		uid := strings.Fields(p.status["Uid"])
		for _, set := range []string{"CapPrm", "CapEff"} {
			if !slices.Contains(want, p.status[set]) || len(uid) == 0 || uid[0] != strconv.Itoa(ordinary) {
				t.Errorf("%s of process %d (parent %s, uid %s) is %s, want %v", set, p.pid, p.status["PPid"], uid, p.status[set], want)
			}
		}
	}
	capturing, children := 0, 0
	for _, thread := range processes(t, fmt.Sprintf("/proc/%d/task/[0-9]*/status", pid)) {
		check(thread, none, raw)
		if thread.status["CapEff"] == raw {
			capturing++
		}
	}
	for _, p := range processes(t, "/proc/[0-9]*/status") {
		if p.status["PPid"] == strconv.Itoa(pid) {
			check(p, none)
			children++
		}
	}
	if capturing == 0 || children < 2 {
		t.Errorf("%d threads can capture, and there are %d children; want some, and broker and ClickHouse", capturing, children)
	}
}

type process struct {
	pid    int
	status map[string]string
}

// processes reads the status files, of processes or threads, that a pattern matches.
func processes(t *testing.T, pattern string) (all []process) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // ended meanwhile
		}
		p := process{status: map[string]string{}}
		p.pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(file)))
		for line := range strings.Lines(string(raw)) {
			name, value, _ := strings.Cut(line, ":")
			p.status[name] = strings.TrimSpace(value)
		}
		all = append(all, p)
	}
	return all
}
