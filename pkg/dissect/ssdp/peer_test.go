package ssdp_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// TestPeer compares how many flows of SSDP and of mDNS nDPI counts in its captures
// (result/*.out: name, packets, bytes, flows) with how many we know by content.
func TestPeer(t *testing.T) {
	results, err := filepath.Glob(filepath.Join(repotest.Shared(t, "captures/nDPI/result"), "*.out"))
	if err != nil {
		t.Fatal(err)
	}
	same, flows := 0, 0
	for _, path := range results {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{}
		for _, line := range strings.Split(string(b), "\n") {
			if f := strings.Fields(line); len(f) >= 4 && (f[0] == "MDNS" || f[0] == "SSDP") {
				if want[strings.ToLower(f[0])], err = strconv.Atoi(f[3]); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(want) == 0 {
			continue
		}
		name := strings.TrimSuffix(filepath.Base(path), ".out")
		got := map[string]int{}
		for _, f := range dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/"+name))).Flows {
			if f.By == proto.ByContent {
				got[f.Protocol]++
			}
		}
		for protocol, n := range want {
			flows += n
			same += min(n, got[protocol])
			if got[protocol] != n {
				t.Errorf("%s: %d flows of %s, nDPI has %d", name, got[protocol], protocol, n)
			}
		}
	}
	t.Logf("%d of %d flows as nDPI has them", same, flows)
	if flows < 20 {
		t.Errorf("only %d flows: the results are no longer read", flows)
	}
}
