package dissecttest

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/wardflow/wardflow/pkg/capfile"
)

// Frame is one captured frame.
type Frame = capfile.Packet

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
