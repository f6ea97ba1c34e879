package ring

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// dropChild says to the test's own program, started again, what to drop.
const dropChild = "WARDFLOW_RING_TEST_DROP"

// TestDropPrivileges drops in a process of its own: it is for good.
func TestDropPrivileges(t *testing.T) {
	if keep := os.Getenv(dropChild); keep != "" {
		dropped(t, keep == "raw")
		return
	}
	for _, keep := range []string{"none", "raw"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestDropPrivileges$", "-test.v")
		cmd.Env = append(os.Environ(), dropChild+"="+keep)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("keeping %s: %v\n%s", keep, err, out)
		} else if strings.Contains(string(out), "--- SKIP") {
			t.Skipf("keeping %s: %s", keep, out)
		} else if !strings.Contains(string(out), "--- PASS") {
			t.Errorf("keeping %s: it did not run:\n%s", keep, out)
		}
	}
}

func dropped(t *testing.T, keep bool) {
	had := strings.HasSuffix(fields(t, "/proc/self/status")["CapPrm"], "ffff")
	before := fields(t, "/proc/thread-self/status")
	err := DropPrivileges(keep)
	if errors.Is(err, ErrThreads) {
		after := fields(t, "/proc/thread-self/status")
		if after["CapPrm"] != before["CapPrm"] || after["NoNewPrivs"] != before["NoNewPrivs"] {
			t.Error("half of the privileges are gone")
		}
		t.Skip("built with cgo")
	}
	if err != nil {
		t.Fatal(err)
	}
	want := "0000000000000000"
	if keep && had {
		want = "0000000000002000" // bit 13
	}
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) < 2 {
		t.Fatalf("threads: %v, %v", tasks, err)
	}
	for _, task := range tasks {
		f := fields(t, task)
		if f["CapEff"] != want || f["CapPrm"] != want || f["NoNewPrivs"] != "1" || strings.Trim(f["CapInh"]+f["CapAmb"], "0") != "" {
			t.Errorf("%s: effective %s, permitted %s, inheritable %s, no new privileges %s; want %s",
				task, f["CapEff"], f["CapPrm"], f["CapInh"], f["NoNewPrivs"], want)
		}
	}
	if keep {
		return
	}
	cfg := Default()
	cfg.Interface = "lo"
	_, err = Open(cfg)
	if errors.Is(err, ErrDown) {
		return // a machine without loopback
	}
	self, e := os.Executable()
	if e != nil {
		t.Fatal(e)
	}
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "setcap cap_net_raw+ep "+self) {
		t.Errorf("open without privileges: %v", err)
	}
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
