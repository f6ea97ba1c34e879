package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto/schema"
	"github.com/wardflow/wardflow/services/wardflow/internal/check"
	"github.com/wardflow/wardflow/services/wardflow/internal/replay"
)

// listCaptures gives every capture of the index, or a sample spread over it.
func listCaptures(t *testing.T, dir string, sample int) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "INDEX.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, l := range lines[1:] {
		files = append(files, l[0])
	}
	if sample <= 0 || sample >= len(files) {
		return files
	}
	var some []string
	for i := range sample {
		some = append(some, files[i*len(files)/sample])
	}
	return some
}

// TestReplayEveryCapture replays every shared capture (WARDFLOW_REPLAY_ALL=1; a
// sample without it) and holds what it wrote to the schema. Every tenth is
// replayed twice and must give the same bytes.
func TestReplayEveryCapture(t *testing.T) {
	dir := repotest.Shared(t, "captures")
	sample, again := 40, 5
	if os.Getenv("WARDFLOW_REPLAY_ALL") != "" {
		sample, again = 0, 10
	}
	files := listCaptures(t, dir, sample)
	var next, replayed, damaged, refused atomic.Int64
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(files) {
					return
				}
				res, err := replayOne(t, dir, files[i], i%again == 0)
				switch {
				case errors.Is(err, replay.ErrNoInput):
					refused.Add(1)
				case err == nil && len(res.Damaged) > 0:
					damaged.Add(1)
					replayed.Add(1)
				case err == nil:
					replayed.Add(1)
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d captures replayed and checked, %d of them damaged; %d files are no captures", replayed.Load(), damaged.Load(), refused.Load())
	if replayed.Load() < int64(len(files))*9/10 {
		t.Errorf("only %d of %d captures replayed", replayed.Load(), len(files))
	}
}

// replayOne replays a capture, twice where asked, and checks the folder.
func replayOne(t *testing.T, dir, file string, twice bool) (*replay.Result, error) {
	first := t.TempDir()
	begun := time.Now()
	res, err := replayInto(t, filepath.Join(dir, file), first)
	if took := time.Since(begun); took > 20*time.Second {
		t.Logf("%s took %v", file, took)
	}
	if err != nil {
		var no *os.PathError
		if !errors.Is(err, replay.ErrNoInput) || (errors.As(err, &no) && !errors.Is(err, os.ErrNotExist)) {
			t.Errorf("%s: %v", file, err)
		}
		return nil, err
	}
	for _, d := range res.Damaged {
		if !errors.Is(d, capfile.ErrTruncated) && !errors.Is(d, capfile.ErrMalformed) {
			t.Errorf("%s: damaged in another way: %v", file, d)
		}
	}
	problems := 0
	if _, err := check.Dir(first, func(p check.Problem) {
		if problems++; problems <= 5 {
			t.Errorf("%s: %s", file, p)
		}
	}); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	if twice {
		second := t.TempDir()
		if _, err := replayInto(t, filepath.Join(dir, file), second); err != nil {
			t.Errorf("%s, again: %v", file, err)
		}
		sameFolders(t, file, first, second)
	}
	return res, nil
}

func replayInto(t *testing.T, path, out string) (*replay.Result, error) {
	return replay.Run(t.Context(), replay.Options{Site: "ward", Files: []replay.File{{Path: path}}, Out: out, Folds: folds()})
}

// sameFolders wants every output file to have the same bytes.
func sameFolders(t *testing.T, what, a, b string) {
	t.Helper()
	for _, f := range schema.Files() {
		x, err := os.ReadFile(filepath.Join(a, f.Name))
		if err != nil {
			t.Error(err)
			continue
		}
		y, err := os.ReadFile(filepath.Join(b, f.Name))
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(x, y) {
			t.Errorf("%s: %s is not the same the second time", what, f.Name)
		}
	}
}
