package flowgen

import (
	"reflect"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

func TestSameSeedSameFlows(t *testing.T) {
	a, b, c := New(Config{Seed: 7, Devices: 500}), New(Config{Seed: 7, Devices: 500}), New(Config{Seed: 8, Devices: 500})
	differ := false
	now := time.Unix(1_763_337_600, 0)
	for range 1000 {
		fa, ma := a.Next(now)
		fb, mb := b.Next(now)
		if ma != mb || !reflect.DeepEqual(fa, fb) {
			t.Fatalf("got %+v, then %+v", fa, fb)
		}
		fc, _ := c.Next(now)
		differ = differ || !reflect.DeepEqual(fa, fc)
	}
	if !differ {
		t.Error("another seed gives the same flows")
	}
}

func TestShares(t *testing.T) {
	g := New(Config{Seed: 1})
	now := time.Now()
	const n = 100_000
	var eastWest, six int
	ids := map[proto.ID]bool{}
	sources := map[proto.ID]bool{}
	for range n {
		f, mirror := g.Next(now)
		if mirror {
			eastWest++
		}
		if f.SrcIP.Is6() {
			six++
		}
		ids[f.FlowID] = true
		sources[f.SrcEndpoint] = true
	}
	if len(ids) != n {
		t.Errorf("%d distinct flow ids of %d", len(ids), n)
	}
	if s := float64(eastWest) / n; s < 0.39 || s > 0.41 {
		t.Errorf("east-west share %.3f, want 0.40", s)
	}
	if s := float64(six) / n; s < 0.09 || s > 0.11 {
		t.Errorf("IPv6 share %.3f, want 0.10", s)
	}
	if len(sources) < 40_000 {
		t.Errorf("%d devices spoke, want most of 50,000", len(sources))
	}
}

// A device talks to its first peer far more often than to its last.
func TestPeersAreZipf(t *testing.T) {
	g := New(Config{Seed: 1, Devices: 300, EastWest: 1})
	now := time.Now()
	pairs := map[[2]proto.ID]int{}
	for range 60_000 { // 200 a device
		f, _ := g.Next(now)
		pairs[[2]proto.ID{f.SrcEndpoint, f.DstEndpoint}]++
	}
	top := 0
	for _, n := range pairs {
		top = max(top, n)
	}
	if top < 40 || len(pairs) > 300*20 {
		t.Errorf("the commonest pair has %d of about 200 flows of its device, over %d pairs", top, len(pairs))
	}
}

func BenchmarkNext(b *testing.B) {
	g := New(Config{Seed: 1})
	now := time.Now()
	for b.Loop() {
		g.Next(now)
	}
}
