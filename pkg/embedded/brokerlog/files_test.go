package brokerlog

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A swap that was killed after any number of its steps ends the same when it is finished.
func TestFinishSwapFromAnyStep(t *testing.T) {
	plan := swap{
		Moves:   []move{{"1", "p/0.dat"}, {"2", "p/0.idx"}, {"3", "p/70.dat"}},
		Removes: []string{"p/10.dat", "p/20.dat"},
	}
	for steps := range len(plan.Moves) + len(plan.Removes) + 2 {
		dir := t.TempDir()
		put := func(name, text string) {
			t.Helper()
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"p/0.dat", "p/0.idx", "p/10.dat", "p/20.dat", "p/30.dat"} {
			put(name, "old")
		}
		for _, m := range plan.Moves {
			put("staging/"+m.From, "new")
		}
		want := "p/0.dat=new p/0.idx=new p/30.dat=old p/70.dat=new"
		if steps == 0 { // killed before it was decided
			want = "p/0.dat=old p/0.idx=old p/10.dat=old p/20.dat=old p/30.dat=old"
		} else {
			raw, err := json.Marshal(plan)
			if err != nil {
				t.Fatal(err)
			}
			put(swapFile, string(raw))
		}
		left := steps - 1
		for _, m := range plan.Moves {
			if left > 0 {
				left--
				if err := os.Rename(filepath.Join(dir, stagingName, m.From), filepath.Join(dir, m.To)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, name := range plan.Removes {
			if left > 0 {
				left--
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 2 {
			if err := FinishSwap(dir); err != nil {
				t.Fatalf("after %d steps: %v", steps, err)
			}
		}
		if got := tree(t, dir); got != want {
			t.Errorf("after %d steps: %s\nwant %s", steps, got, want)
		}
	}
}

func tree(t *testing.T, dir string) string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		out = append(out, strings.TrimPrefix(path, dir+"/")+"="+string(raw))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

func TestStateLogTornAnywhere(t *testing.T) {
	var raw []byte
	var ends []int
	for i := range 3 {
		var err error
		if raw, err = appendFrame(raw, producerEntry{Type: "init", PID: int64(i), Epoch: int16(i), TxID: fmt.Sprint("fold-", i)}); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, len(raw))
	}
	path := filepath.Join(t.TempDir(), "pids.log")
	for n := range len(raw) + 1 {
		if err := os.WriteFile(path, raw[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		entries, err := cutTornTail(path)
		if err != nil {
			t.Fatal(err)
		}
		whole, size := 0, 0
		for i, end := range ends {
			if n >= end {
				whole, size = i+1, end
			}
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != whole || info.Size() != int64(size) {
			t.Errorf("cut at %d: %d entries in %d bytes, want %d in %d", n, len(entries), info.Size(), whole, size)
		}
	}
	if entries, err := cutTornTail(path + ".none"); err != nil || entries != nil {
		t.Errorf("no file: %v, %v", entries, err)
	}
}
