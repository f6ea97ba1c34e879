package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/embedded"
)

func shell(t *testing.T, script string) embedded.ProcessConfig {
	t.Helper()
	return embedded.ProcessConfig{
		Name: "child", Command: embedded.Command{Path: "/bin/sh", Args: []string{"-c", script}},
		LogFile: filepath.Join(t.TempDir(), "log", "child.log"), BackoffMin: time.Millisecond, BackoffMax: 50 * time.Millisecond,
	}
}

func start(t *testing.T, c embedded.ProcessConfig) *embedded.Process {
	t.Helper()
	p, err := embedded.StartProcess(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(raw)
}

func TestProcessGetsItsHandshakeAndNotInItsArguments(t *testing.T) {
	c := shell(t, `read line; echo "got $line"; tr '\0' ' ' < /proc/$$/cmdline; tr '\0' ' ' < /proc/$$/environ; exec sleep 1000`)
	c.Handshake = []byte("the-secret")
	c.Ready = func(context.Context) error {
		if !strings.Contains(read(t, c.LogFile), "got ") || !strings.Contains(read(t, c.LogFile), "PATH=") {
			return errors.New("not yet")
		}
		return nil
	}
	start(t, c)
	if n := strings.Count(read(t, c.LogFile), "the-secret"); n != 1 {
		t.Errorf("the secret is in the log %d times, want once, from standard input:\n%s", n, read(t, c.LogFile))
	}
	if info, err := os.Stat(c.LogFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("log: %v, %v", info.Mode(), err)
	}
}

func TestProcessIsRestarted(t *testing.T) {
	var exits atomic.Int64
	c := shell(t, "exec sleep 1000")
	c.OnExit = func(error) { exits.Add(1) }
	p := start(t, c)
	seen := map[int]bool{}
	for i := 1; i <= 3; i++ {
		await(t, "start", func() bool { return p.Up() && !seen[p.PID()] })
		seen[p.PID()] = true
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		await(t, "restart", func() bool { return p.Restarts() == i })
	}
	if exits.Load() != 3 {
		t.Errorf("%d exits told, want 3", exits.Load())
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if p.PID() != 0 || p.Up() {
		t.Error("it runs after Stop")
	}
	if err := p.Kill(); err == nil {
		t.Error("killed what does not run")
	}
	if exits.Load() != 3 {
		t.Error("an asked-for end is told as an exit")
	}
}

func TestProcessThatNeverAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		script, want string
	}{
		"ends at once": {"echo the reason >&2; exit 3", "exit status 3"},
		"runs":         {"echo the reason; exec sleep 1000", "did not answer within"},
		"no program":   {"", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			config := shell(t, c.script)
			config.ReadyTimeout = 500 * time.Millisecond
			config.Ready = func(context.Context) error { return errors.New("no answer") }
			if c.script == "" {
				config.Command.Path = filepath.Join(t.TempDir(), "none")
			}
			p, err := embedded.StartProcess(t.Context(), config)
			if err == nil || p != nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if c.script != "" && !strings.Contains(err.Error(), "the reason") {
				t.Errorf("the error does not show the log: %v", err)
			}
		})
	}
}

func TestProcessThatDoesNotWantToEnd(t *testing.T) {
	c := shell(t, `trap "" TERM; echo up; while :; do sleep 0.05; done`)
	c.StopTimeout = 200 * time.Millisecond
	c.Ready = func(context.Context) error {
		if !strings.Contains(read(t, c.LogFile), "up") {
			return errors.New("not yet")
		}
		return nil
	}
	p := start(t, c)
	pid := p.PID()
	begun := time.Now()
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < c.StopTimeout || took > 5*time.Second {
		t.Errorf("stopped in %s", took)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v", pid, err)
	}
	if !strings.Contains(read(t, c.LogFile), "killing it") {
		t.Error("the log does not say so")
	}
}

func TestProcessIsAskedToEnd(t *testing.T) {
	c := shell(t, `trap "echo asked; exit 0" TERM; echo up; while :; do sleep 0.02; done`)
	c.Ready = func(context.Context) error {
		if !strings.Contains(read(t, c.LogFile), "up") {
			return errors.New("not yet")
		}
		return nil
	}
	p := start(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(read(t, c.LogFile), "asked") {
		t.Errorf("log: %s", read(t, c.LogFile))
	}
}

// A child of a program that captures cannot capture, whatever it is started as.
func TestProcessCannotCapture(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("needs /proc")
	}
	c := shell(t, `grep -E "^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs)" /proc/$$/status; echo read; exec sleep 1000`)
	c.Ready = func(context.Context) error {
		if !strings.Contains(read(t, c.LogFile), "read\n") {
			return errors.New("not yet")
		}
		return nil
	}
	had := strings.Contains(read(t, "/proc/self/status"), "NoNewPrivs:\t0")
	start(t, c)
	for line := range strings.Lines(read(t, c.LogFile)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":\t")
		if !ok || name == "NoNewPrivs" {
			continue
		}
		if set, err := strconv.ParseUint(value, 16, 64); err != nil || set&(1<<13) != 0 {
			t.Errorf("%s of the child is %s: it has CAP_NET_RAW", name, value)
		}
	}
	if had && !strings.Contains(read(t, "/proc/self/status"), "NoNewPrivs:\t0") {
		t.Error("we have lost rights ourselves")
	}
}

func TestProcessLogIsBounded(t *testing.T) {
	c := shell(t, `i=0; while [ $i -lt 3000 ]; do echo "line $i of a log that would not end"; i=$((i+1)); done; echo finished; exec sleep 1000`)
	c.LogBytes = 16 << 10
	c.Ready = func(context.Context) error {
		if !strings.HasSuffix(read(t, c.LogFile), "finished\n") {
			return errors.New("not yet")
		}
		return nil
	}
	start(t, c)
	log := read(t, c.LogFile+".1") + read(t, c.LogFile)
	if n := len(log); n > 16<<10 || n < 4<<10 {
		t.Errorf("%d bytes of log, limit %d", n, 16<<10)
	}
	if !strings.Contains(log, "line 2998 of a log that would not end\nline 2999 ") {
		t.Error("the end of the log is missing")
	}
}

const parentEnv = "WARDFLOW_TEST_PARENT"

// init makes the test binary a parent that is killed, for the test below.
func init() {
	log := os.Getenv(parentEnv)
	if log == "" {
		return
	}
	c := embedded.ProcessConfig{
		Name: "grandchild", Command: embedded.Command{Path: "/bin/sh", Args: []string{"-c", "echo pid $$; exec sleep 1000"}}, LogFile: log,
		EndItself: os.Getenv(parentEnv+"_PIPE") != "",
		Ready: func(context.Context) error {
			if raw, err := os.ReadFile(log); err != nil || len(raw) == 0 {
				return errors.New("not yet")
			}
			return nil
		},
	}
	if c.EndItself { // the portable way: the child sees its standard input end
		c.Command.Args[1] = "echo pid $$; read line; read line || exit 0"
	}
	if _, err := embedded.StartProcess(context.Background(), c); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	select {}
}

func TestProcessDiesWithItsParent(t *testing.T) {
	for _, how := range []string{"", "1"} {
		log := filepath.Join(t.TempDir(), "grandchild.log")
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := shell(t, "")
		c.Command = embedded.Command{Path: self, Env: []string{parentEnv + "=" + log, parentEnv + "_PIPE=" + how}}
		c.BackoffMin = time.Hour // once is enough
		var pid int
		c.Ready = func(context.Context) error {
			_, err := fmt.Sscanf(read(t, log), "pid %d", &pid)
			return err
		}
		p := start(t, c)
		if err := syscall.Kill(pid, 0); err != nil {
			t.Fatalf("grandchild %d: %v", pid, err)
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		await(t, "end of the grandchild", func() bool {
			state := read(t, "/proc/"+strconv.Itoa(pid)+"/stat")
			return state == "" || strings.Contains(state, ") Z ") // nobody may be there to reap it
		})
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}
}
