package spool

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const (
	childVariable = "WARDFLOW_SPOOL_CHILD" // the folder of the child's spool and journals
	childRecords  = 24
	childLanes    = 2
)

// failpoints are all places in this package where a process may end.
var failpoints = []string{
	"spool.segment.made", "spool.segment.begun", "spool.record.middle", "spool.record.written", "spool.record.synced",
	"spool.ack.before", "spool.ack.after", "spool.delete.before", "spool.delete.after",
}

// TestChild is what the killed process does: it appends records, numbered by
// lane, and drains some now and then. It writes down what it tries, what is
// confirmed and what it delivers, each before the next step.
func TestChild(t *testing.T) {
	dir := os.Getenv(childVariable)
	if dir == "" {
		t.Skip("only as the child of TestKills")
	}
	journal, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	note := func(what string, n uint64) {
		if _, err := fmt.Fprintln(journal, what, n); err != nil {
			t.Fatal(err)
		}
	}
	cfg := small(filepath.Join(dir, "spool"))
	cfg.Sync = SyncEach
	cfg.OnDrop = func(d Drop) {
		if d.Reason != DropTorn {
			t.Errorf("dropped %+v", d)
		}
	}
	s := open(t, cfg)
	tried := readJournal(t, dir)["try"]
	for n := uint64(len(tried)) + 1; n <= childRecords; n++ {
		note("try", n)
		if err := s.Append(int32(n%childLanes), payload(int(n))); err != nil {
			t.Fatal(err)
		}
		note("ok", n)
		if n%5 == 0 {
			childDrain(t, s, note, 4)
		}
	}
	childDrain(t, s, note, 1<<30)
	if st := s.Stats(); st.Pending != 0 || st.Segments != 0 {
		t.Errorf("at the end: %+v", st)
	}
	note("end", 0)
}

// childDrain delivers up to limit records and acknowledges after every third.
func childDrain(t *testing.T, s *Spool, note func(string, uint64), limit int) {
	var last uint64
	for i := range limit {
		r, err := s.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n := binary.BigEndian.Uint64(r.Payload)
		if r.Partition != int32(n%childLanes) || !bytes.Equal(r.Payload, payload(int(n))) {
			t.Fatalf("read %+v", r)
		}
		note("deliver", n)
		last = r.Number
		if i%3 == 2 {
			if err := s.Ack(last); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Ack(last); err != nil {
		t.Fatal(err)
	}
}

// readJournal gives the numbers of each kind of line, in order.
func readJournal(t *testing.T, dir string) map[string][]uint64 {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := map[string][]uint64{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var what string
		var n uint64
		if _, err := fmt.Sscan(sc.Text(), &what, &n); err != nil {
			t.Fatal(err)
		}
		lines[what] = append(lines[what], n)
	}
	return lines
}

// TestKills ends a process at every failpoint, at its first and later passages,
// starts it again until it is through, and compares what was delivered with what
// was appended.
func TestKills(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a test binary with failpoints and starts it many times")
	}
	binary := filepath.Join(t.TempDir(), "spool.test")
	if out, err := exec.Command("go", "test", "-c", "-tags", "failpoints", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, point := range failpoints {
		for _, passage := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("%s@%d", point, passage), func(t *testing.T) {
				dir := t.TempDir()
				kills := 0
				// The same point in each process: some get no further than the
				// one before, so the last may run on its own.
				for through := false; !through; {
					at := fmt.Sprintf("%s=kill@%d", point, passage)
					if kills == 12 {
						at = ""
					}
					through = runChild(t, binary, dir, at)
					if !through {
						kills++
					}
				}
				if kills == 0 {
					t.Error("the process was never killed: the failpoint was not passed")
				}
				checkJournal(t, readJournal(t, dir))
			})
		}
	}
}

// runChild tells whether the child came to its end; it may be killed before, but not fail.
func runChild(t *testing.T, binary, dir, failpoints string) bool {
	t.Helper()
	cmd := exec.Command(binary, "-test.run", "^TestChild$")
	cmd.Env = append(os.Environ(), childVariable+"="+dir, "WARDFLOW_FAILPOINTS="+failpoints)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return true
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL &&
			strings.Contains(string(out), "failpoint spool.") {
			return false
		}
	}
	t.Fatalf("child: %v\n%s", err, out)
	return false
}

// checkJournal drops repetitions as consumers do, by the highest number of each
// lane, and wants every confirmed record once and nothing that was not tried.
func checkJournal(t *testing.T, lines map[string][]uint64) {
	t.Helper()
	highest := map[uint64]uint64{}
	var accepted []uint64
	for _, n := range lines["deliver"] {
		if !slices.Contains(lines["try"], n) {
			t.Errorf("record %d was delivered and never appended", n)
		}
		if n > highest[n%childLanes] {
			highest[n%childLanes] = n
			accepted = append(accepted, n)
		}
	}
	for _, n := range lines["ok"] {
		if !slices.Contains(accepted, n) {
			t.Errorf("record %d was confirmed and not delivered in order", n)
		}
	}
	if len(lines["try"]) != childRecords || len(lines["end"]) != 1 {
		t.Errorf("the child tried %d records and ended %d times", len(lines["try"]), len(lines["end"]))
	}
}
