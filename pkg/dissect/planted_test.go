package dissect_test

import (
	"bytes"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/label"
	"github.com/wardflow/wardflow/proto"
)

// numbersOnly are the protocols without a capture with planted secrets, because they
// have no place for a text; those of pkg/dissect/label have none either, because
// nothing of them is told but their name.
var numbersOnly = map[string]string{
	"arp":    "addresses only",
	"icmp":   "routers' addresses only",
	"iec104": "numbers of stations, types and values only",
}

// inForm are the captures in which secrets stand in a device's own fields, and are held
// back by the form of what is said ("of Dr", "'s", "by"). A changed byte can take the form
// away, and leaves a device's name: of these no bytes are changed where secrets are looked
// for.
var inForm = []string{"cdp", "lldp", "mdns", "ntp", "snmp"}

// planted gives the captures of testdata/canaries with the secrets in them.
func planted(t *testing.T, each func(name string, frames []dissecttest.Frame, secrets []string)) {
	t.Helper()
	files, err := filepath.Glob("../../testdata/canaries/*.pcap")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(strings.TrimSuffix(f, ".pcap") + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		each(strings.TrimSuffix(filepath.Base(f), ".pcap"), dissecttest.Frames(t, f), strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"))
	}
}

// Every protocol has secrets planted in it, and every secret stands in its capture.
func TestEveryProtocolIsPlanted(t *testing.T) {
	has := map[string]bool{}
	planted(t, func(name string, frames []dissecttest.Frame, secrets []string) {
		r := dissecttest.Run(dissect.Config{}, frames)
		for _, f := range r.Flows {
			if f.By == proto.ByContent || f.By == proto.ByContext {
				has[f.Protocol] = true
			}
		}
		for _, f := range r.Facts { // frames without IP are of no flow
			has[f.Protocol] = true
		}
		var all []byte
		for _, f := range frames {
			all = append(all, f.Data...)
		}
		for _, s := range secrets {
			if len(s) < 5 || len(canary.Search(all, []string{s})) == 0 {
				t.Errorf("%s: %q does not stand in it, or is too short to look for", name, s)
			}
		}
	})
	for _, name := range dissect.Names() {
		labelOnly := slices.ContainsFunc(label.Protocols, func(p *dissector.Protocol) bool { return p.Name == name })
		if _, none := numbersOnly[name]; none == has[name] && !labelOnly {
			t.Errorf("%s: planted %v, but without a place for texts %v", name, has[name], none)
		}
	}
}

// No secret leaves the engine, of the captures as they are and damaged: bytes changed,
// frames cut short and frames lost.
func TestPlantedStaysInside(t *testing.T) {
	planted(t, func(name string, frames []dissecttest.Frame, secrets []string) {
		s := canary.New(secrets)
		check := func(version int, list []dissecttest.Frame, look bool) {
			r := dissecttest.Run(dissect.Config{}, list)
			if hits := s.Search(r.Everything()); look && len(hits) > 0 || len(r.Panics) > 0 {
				t.Errorf("%s, damaged version %d: %v %v in\n%s", name, version, hits, r.Panics, r.Everything())
			}
		}
		check(0, frames, true)
		form := slices.Contains(inForm, name)
		seed := fnv.New64a()
		_, _ = seed.Write([]byte(name))
		for version := range 40 {
			rnd := rand.New(rand.NewPCG(seed.Sum64(), uint64(version))) //nolint:gosec // the same damage each time
			check(version+1, damaged(rnd, frames, true), !form)
			if form {
				check(version+1, damaged(rnd, frames, false), true)
			}
		}
	})
}

// damaged gives frames of which about one in eight is hurt, and one always.
func damaged(rnd *rand.Rand, frames []dissecttest.Frame, change bool) []dissecttest.Frame {
	const head = 14 // of Ethernet: without it nothing is read at all
	var out []dissecttest.Frame
	one := rnd.IntN(len(frames))
	for i, f := range frames {
		n := len(f.Data) - head
		if n > 0 && (i == one || rnd.IntN(8) == 0) {
			switch way := rnd.IntN(4); {
			case way == 0: // lost
				continue
			case way == 1 || !change: // captured in part
				f.Data = f.Data[:head+rnd.IntN(n)]
			default:
				f.Data = bytes.Clone(f.Data)
				for range 1 + rnd.IntN(4) {
					f.Data[head+rnd.IntN(n)] ^= byte(1 + rnd.IntN(255))
				}
			}
		}
		out = append(out, f)
	}
	return out
}
