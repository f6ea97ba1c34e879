package capture

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestClosedFiles(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	names, err := closedFiles(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "open.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(other, "moved.pcap")
	if err := errors.Join(os.WriteFile(moved, nil, 0o600), os.Rename(moved, filepath.Join(dir, "moved.pcap")), f.Close()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"moved.pcap", "open.pcap"} { // the open one when it is closed
		select {
		case got := <-names:
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s is not told", want)
		}
	}
	cancel()
	if _, ok := <-names; ok {
		t.Error("it goes on")
	}
}
