package packet_test

import (
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// captures calls f with every capture of the shared folder.
func captures(t *testing.T, f func(name string, r *capfile.Reader)) {
	t.Helper()
	root := repotest.Shared(t, "captures")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		r, err := capfile.Open(path)
		if err != nil {
			return nil
		}
		defer r.Close()
		name, err := filepath.Rel(root, path)
		f(filepath.ToSlash(name), r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDamagedCaptures decodes the first frames of every shared capture as they are,
// cut, with bits turned, with bytes put in and taken out, and as if they were of
// another link type. Nothing may panic or take long, and what is said of them holds.
func TestDamagedCaptures(t *testing.T) {
	links := []packet.LinkType{0, 1, 9, 12, 50, 51, 101, 104, 105, 107, 108, 113, 119, 127, 163, 166, 178, 192, 204, 239, 258, 276}
	rnd := rand.New(rand.NewPCG(7, 11))
	var d packet.Decoder
	var h packet.Headers
	frames, start := 0, time.Now()
	captures(t, func(name string, r *capfile.Reader) {
		var p capfile.Packet
		for n := 0; n < 40 && r.Next(&p) == nil; n++ {
			for range 6 {
				b := damage(rnd, p.Data)
				link := p.LinkType
				if rnd.IntN(8) == 0 {
					link = links[rnd.IntN(len(links))]
				}
				before := time.Now()
				reason := d.Decode(link, p.Time, b, len(b)+rnd.IntN(3)*rnd.IntN(2000), &h)
				if took := time.Since(before); took > 2*time.Second {
					t.Errorf("%s: frame %d took %v: link %d, %x", name, n, took, link, b)
				}
				frames++
				if reason >= packet.Reasons || h.NTunnels > packet.MaxTunnels ||
					(reason == packet.OK && h.IsIP() && (len(h.Payload) > h.PayloadLen || h.PayloadLen > h.IPBytes || h.Packets < 1 || !h.DstIP.IsValid())) {
					t.Fatalf("%s: frame %d: link %d, %x: %v, %+v", name, n, link, b, reason, h)
				}
			}
		}
	})
	d.Flush()
	t.Logf("%d frames in %v: %v", frames, time.Since(start), d.Counters)
	if frames < 50_000 {
		t.Errorf("%d frames", frames)
	}
}

// damage gives a copy of b with something done to it.
func damage(rnd *rand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	if len(b) == 0 {
		return b
	}
	near := func() int { return rnd.IntN(min(len(b), 16<<rnd.IntN(8))) } // headers more often than payload
	switch rnd.IntN(6) {
	case 0:
		return b[:near()]
	case 1:
		for range 1 + rnd.IntN(4) {
			b[near()] ^= 1 << rnd.IntN(8)
		}
	case 2:
		for range 1 + rnd.IntN(4) {
			b[near()] = []byte{0, 1, 4, 0x45, 0x60, 0x7f, 0x80, 0xff}[rnd.IntN(8)]
		}
	case 3:
		return slices.Insert(b, near(), b[:near()]...)
	case 4:
		i := near()
		return slices.Delete(b, i, min(len(b), i+1+rnd.IntN(8)))
	}
	return b
}
