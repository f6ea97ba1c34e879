package dissecttest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/wardflow/wardflow/pkg/capfile"
)

// Frame is one captured frame.
type Frame = capfile.Packet

// Shared gives the path of a file of the shared folder beside the repository (or
// WARDFLOW_SHARED); the test is skipped where that is absent.
func Shared(tb testing.TB, name string) string {
	tb.Helper()
	dir := os.Getenv("WARDFLOW_SHARED")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			tb.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			up := filepath.Dir(root)
			if up == root {
				tb.Skip("no repository root above the test: set WARDFLOW_SHARED")
			}
			root = up
		}
		dir = filepath.Join(filepath.Dir(root), "shared")
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("%s is not there: set WARDFLOW_SHARED to the shared folder", name)
	}
	return path
}

// Frames reads a capture file. One that ends in the middle of a frame gives the
// frames before it.
func Frames(tb testing.TB, path string) []Frame {
	tb.Helper()
	r, err := capfile.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var list []Frame
	for {
		var p Frame
		if err := r.Next(&p); err != nil {
			if !errors.Is(err, io.EOF) {
				tb.Logf("after %d frames: %v", len(list), err)
			}
			return list
		}
		p.Data = bytes.Clone(p.Data)
		list = append(list, p)
	}
}
