package dissect

import (
	"os"
	"testing"

	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/services/capture"
)

// BenchmarkDissect is the whole path, from a file to files: the ward's day, or the
// file that WARDFLOW_BENCH_FILE names.
func BenchmarkDissect(b *testing.B) {
	file := os.Getenv("WARDFLOW_BENCH_FILE")
	if file == "" {
		file = repotest.Shared(b, "captures/ward-a/day.pcapng")
	}
	for _, bc := range []struct {
		name string
		only bool
	}{{"all", false}, {"flows", true}} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			out, packets := b.TempDir(), uint64(0)
			for b.Loop() {
				res, err := Run(b.Context(), Options{Files: []string{file}, Out: out, Capture: capture.Config{Site: "ward", FlowsOnly: bc.only}})
				if err != nil {
					b.Fatal(err)
				}
				packets += res.Packets
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(packets), "ns/packet")
		})
	}
}
