package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// wardFiles are the ward's day and the next day's incidents.
func wardFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../testdata/ward-a/*.pcap*")
	if err != nil || len(files) < 2 {
		t.Fatalf("testdata/ward-a is not there: %v", err)
	}
	slices.Sort(files)
	return files
}

// onKafkaOnly skips what a run for real Kafka has no need to repeat.
func onKafkaOnly(t *testing.T) {
	t.Helper()
	if os.Getenv("WARDFLOW_TEST_KAFKA") == "require" {
		t.Skip("on the embedded broker; this run is for real Kafka")
	}
}

func bothBrokers(t *testing.T, f func(t *testing.T, w *world)) {
	t.Run("embedded", func(t *testing.T) {
		onKafkaOnly(t)
		f(t, newWorld(t, false))
	})
	t.Run("kafka", func(t *testing.T) { f(t, newWorld(t, true)) })
}

// The running system stores what replay writes, also when every service is killed
// while it works.
func TestRunningSystemEqualsReplay(t *testing.T) {
	bothBrokers(t, func(t *testing.T, w *world) {
		files := wardFiles(t)
		w.allServices(nil)
		w.capture(sites[0], files...)
		w.settle(sites[0], 2*time.Minute, files...)
		w.capture(sites[1], files...)
		for _, s := range []string{"fingerprint", "anomaly", "score", "sink"} {
			w.kill(s)
		}
		w.settle(sites[1], 4*time.Minute, files...)
	})
}

// The same with three instances of each fold and of the sink, of which some are killed while the
// groups are still forming.
func TestThreeInstancesEqualReplay(t *testing.T) {
	bothBrokers(t, func(t *testing.T, w *world) {
		files := wardFiles(t)
		w.allServices(nil)
		for _, instance := range []string{"1", "2"} {
			for _, s := range []string{"fingerprint", "anomaly", "score", "sink"} {
				w.start(s+instance, "", s, "--instance", instance)
			}
		}
		w.capture(sites[0], files...)
		for _, s := range []string{"fingerprint1", "anomaly2", "score", "sink"} {
			w.kill(s)
		}
		w.settle(sites[0], 2*time.Minute, files...)
	})
}
