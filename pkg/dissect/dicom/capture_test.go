package dicom_test

import (
	"os"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

// Each service as pynetdicom speaks it; the facts are in the file beside the capture. They
// are the same wherever its connections are cut, and name nobody.
func TestPynetdicom(t *testing.T) {
	frames := dissecttest.Frames(t, "testdata/pynetdicom.pcap")
	r := dissecttest.Run(dissect.Config{}, frames)
	const golden = "testdata/pynetdicom.txt"
	if os.Getenv("WARDFLOW_UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(r.Text()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if r.Text() != string(want) || len(r.Panics) > 0 {
		t.Errorf("%v got\n%swant\n%s", r.Panics, r.Text(), want)
	}
	for name, n := range r.Counters {
		if name != "tcp_segments" {
			t.Errorf("%s: %d", name, n)
		}
	}
	s := canary.New([]string{"CANARY^ALFA", "PHI-CANARY-0001", "ACC-CANARY-1", "jcanaryuser", "canarypassword", "1.2.826.0.1.3680043.8.498.77"})
	if hits := s.Search(r.Everything()); len(hits) > 0 {
		t.Errorf("%v", hits)
	}
	for i, c := range dissecttest.Conversations(frames) {
		play := func(c dissecttest.Conversation) string {
			list := c.Segments(true)
			for i := range list {
				list[i].Time = 0
			}
			return dissecttest.Play(dissect.Config{}, list).Text()
		}
		whole, n := play(c), c.Sizes()
		for at := range n[0] + n[1] {
			if got := play(c.Cut(at)); got != whole {
				t.Fatalf("connection %d cut at %d: got\n%swant\n%s", i, at, got, whole)
			}
		}
	}
}
