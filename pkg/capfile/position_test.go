package capfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// Position counts bytes as they lie on the disk, compressed or not, and ends at
// the size.
func TestPosition(t *testing.T) {
	plain := bytes.Repeat([]byte{7}, 300<<10)
	head := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0}
	var body []byte
	for at := 0; at < len(plain); at += 1500 {
		n := min(1500, len(plain)-at)
		body = append(body, 1, 0, 0, 0, 0, 0, 0, 0, byte(n), byte(n>>8), 0, 0, byte(n), byte(n>>8), 0, 0)
		body = append(body, plain[at:at+n]...)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(append(head, body...))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"a.pcap": append(head, body...), "b.pcap.gz": packed.Bytes()} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var p Packet
		for err == nil {
			err = r.Next(&p)
		}
		read, size := Position(r)
		if !errors.Is(err, io.EOF) || read != int64(len(content)) || size != int64(len(content)) {
			t.Errorf("%s: %d of %d at the end, want %d of it (%v)", name, read, size, len(content), err)
		}
		_ = r.Close()
	}
	r, err := NewReader("pipe", bytes.NewReader(append(head, body...)))
	if err != nil {
		t.Fatal(err)
	}
	if read, size := Position(r); read != 0 || size != 0 {
		t.Errorf("a pipe has %d of %d", read, size)
	}
}
