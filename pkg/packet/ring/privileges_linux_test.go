package ring

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// confineChild makes the test's own program, started again, confine itself.
const confineChild = "WARDFLOW_RING_TEST_CONFINE"

// nobody is an ordinary user.
const nobody = 65534

// TestConfine confines processes of its own: it is for good.
func TestConfine(t *testing.T) {
	if how := os.Getenv(confineChild); how != "" {
		confinedChild(t, how == "children")
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs to be root, to give it up")
	}
	wire(t)
	file := public(t)
	user := &syscall.Credential{Uid: nobody, Gid: nobody}
	tests := map[string]struct {
		attr     *syscall.SysProcAttr
		children bool
		again    bool // it starts itself again
		captures bool
	}{
		"root":                            {&syscall.SysProcAttr{}, false, true, true},
		"root that will have children":    {&syscall.SysProcAttr{}, true, true, true},
		"a user with the one":             {&syscall.SysProcAttr{Credential: user, AmbientCaps: []uintptr{unix.CAP_NET_RAW}}, false, false, true},
		"a user with more":                {&syscall.SysProcAttr{Credential: user, AmbientCaps: []uintptr{unix.CAP_NET_RAW, unix.CAP_NET_ADMIN, unix.CAP_DAC_OVERRIDE}}, false, true, true},
		"a user with none":                {&syscall.SysProcAttr{Credential: user}, false, false, false},
		"a user with others but not it":   {&syscall.SysProcAttr{Credential: user, AmbientCaps: []uintptr{unix.CAP_NET_ADMIN}}, false, false, false},
		"root with it in the ambient set": {&syscall.SysProcAttr{AmbientCaps: []uintptr{unix.CAP_NET_RAW}}, true, true, true},
	}
	for name, test := range tests { // not as subtests: the namespace is this thread's
		cmd := exec.Command(file, "-test.run=^TestConfine$", "-test.v")
		cmd.Env, cmd.SysProcAttr, cmd.Dir = append(os.Environ(), confineChild+"=alone"), test.attr, "/"
		if test.children {
			cmd.Env = append(os.Environ(), confineChild+"=children")
		}
		said, ok := converse(t, cmd)
		if !ok {
			t.Errorf("%s: %s", name, said)
			continue
		}
		if got := strings.Contains(said, "captured"); got != test.captures {
			t.Errorf("%s: captures: %v\n%s", name, got, said)
		}
		if got := strings.Count(said, "=== RUN") == 2; got != test.again {
			t.Errorf("%s: started itself again: %v\n%s", name, got, said)
		}
		if test.captures && !strings.Contains(said, "only CAP_NET_RAW") {
			t.Errorf("%s: it has more than CAP_NET_RAW\n%s", name, said)
		}
		if whole := strings.Contains(said, "bounding set is whole"); test.again && test.attr.Credential == nil && whole != test.children {
			t.Errorf("%s: the bounding set is whole: %v", name, whole)
		}
	}
}

// converse runs the program and sends it frames from when it asks for them.
func converse(t *testing.T, cmd *exec.Cmd) (string, bool) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := newSender(t, tx)
	var said strings.Builder
	for in := bufio.NewReader(out); ; {
		line, err := in.ReadString('\n')
		said.WriteString(line)
		if strings.Contains(line, "listening") {
			s.send(frame(1, 100))
		}
		if errors.Is(err, io.EOF) {
			break
		}
	}
	return said.String(), cmd.Wait() == nil
}

// public is a copy of the test's program that every user can run.
func public(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wardflow-ring-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	raw, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "program")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(file, raw, 0o755)); err != nil {
		t.Fatal(err)
	}
	return file
}

func confinedChild(t *testing.T, children bool) {
	if err := Confine(children); err != nil {
		t.Fatal(err)
	}
	if os.Getenv(confined) != "" {
		t.Error("children would think that they are confined")
	}
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) < 2 {
		t.Fatalf("threads: %v, %v", tasks, err)
	}
	only := 0
	for _, task := range tasks {
		f := fields(t, task)
		if f["CapEff"] == "0000000000002000" && f["CapPrm"] == f["CapEff"] { // bit 13
			only++
		}
		if strings.HasSuffix(f["CapBnd"], "ffff") {
			fmt.Println("bounding set is whole")
		}
	}
	if only == len(tasks) {
		fmt.Println("only CAP_NET_RAW")
	}
	cfg := small()
	r, err := Open(cfg)
	if errors.Is(err, unix.EPERM) {
		for _, want := range []string{"setcap cap_net_raw+ep /", "AmbientCapabilities=CAP_NET_RAW", "sudo"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v lacks %q", err, want)
			}
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("listening")
	var p Packet
	if err := r.Next(within(t, 10*time.Second), &p); err != nil {
		t.Fatal(err)
	}
	fmt.Println("captured")
}

func fields(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		out[name] = strings.TrimSpace(value)
	}
	return out
}
