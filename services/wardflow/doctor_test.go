package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/services/wardflow/internal/doctor"
)

// The whole of it on this machine, before anything was started: no problem but
// what this machine has, and nothing is made.
func TestDoctorBeforeAnythingRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var report struct {
		Status doctor.Status
		Checks []doctor.Result
	}
	got := runCLI(t, nil, "", "doctor", "--data-dir", dir, "--json", "--interface", "nonesuch0")
	if err := json.Unmarshal([]byte(got.out), &report); err != nil {
		t.Fatalf("%v: %+v", err, got)
	}
	if got.code != exitFailed || report.Status != doctor.Problem {
		t.Errorf("an interface that is not there: %d, %s", got.code, report.Status)
	}
	areas := map[string]bool{}
	for _, c := range report.Checks {
		areas[c.Area] = true
		if c.Area == "Kafka" && (c.Status != doctor.Skipped || c.Do != "wardflow up") {
			t.Errorf("Kafka, which is not started: %+v", c)
		}
	}
	for _, want := range []string{"configuration", "machine", "interface nonesuch0", "disk", "Kafka", "ClickHouse"} {
		if !areas[want] {
			t.Errorf("%s was not looked at", want)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("looking made the data folder")
	}
}

func TestDoctorTellsProblems(t *testing.T) {
	bad := tempFile(t, "bad.yaml", "site: ''\nlog: {level: loud}\n")
	for name, tt := range map[string]struct {
		args []string
		want []string
	}{
		"configuration": {[]string{"--config", bad}, []string{"site: is empty", "log.level", "2 problems"}},
		"no file":       {[]string{"--config", "/not/there.yaml"}, []string{"open /not/there.yaml", "wardflow config print"}},
		"nobody there": {
			[]string{"--data-dir", t.TempDir(), "--timeout", "1s", "--set", "kafka.brokers=127.0.0.1:1", "--set", "clickhouse.addresses=127.0.0.1:1"},
			[]string{"Kafka\n  problem  reachable", "ClickHouse\n  problem  reachable", "start the brokers", "start the server", "2 problems"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := runCLI(t, nil, "", append([]string{"doctor"}, tt.args...)...)
			if got.code != exitFailed {
				t.Errorf("ends with %d", got.code)
			}
			for _, w := range tt.want {
				if !strings.Contains(got.out, w) {
					t.Errorf("does not say %q:\n%s%s", w, got.out, got.err)
				}
			}
		})
	}
}

// On a narrow terminal lines are broken between words, below where they began.
func TestChecksFitTheTerminal(t *testing.T) {
	var out bytes.Buffer
	s := &screen{w: &out, width: 60}
	printChecks(s, []doctor.Result{{
		Area: "machine", Check: "clock", Status: doctor.Warning, Found: "nobody synchronises it, and nobody has done so for a long time now",
		Do: "start chrony, ntpd or systemd-timesyncd, whichever this system comes with",
	}})
	for line := range strings.Lines(out.String()) {
		if width(strings.TrimRight(line, "\n")) > 60 {
			t.Errorf("%d characters: %q", width(line), line)
		}
	}
	if !strings.Contains(out.String(), "1 check: 0 ok, 1 warning, 0 problems, 0 skipped") {
		t.Errorf("counts: %s", out.String())
	}
}
