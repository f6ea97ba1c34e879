package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// ways runs a command in memory.
func ways(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(context.Background(), args, &streams{out: &o, err: &e})
	return code, o.String(), e.String()
}

func TestFingerprintUsage(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nothing":       {[]string{"evaluate"}, exitUsage, "--train DIR"},
		"one fold":      {[]string{"evaluate", "--train", dir, "--folds", "1"}, exitUsage, "2 folds"},
		"left of what":  {[]string{"evaluate", "--test", dir, "--leave-out"}, exitUsage, "--train"},
		"empty folder":  {[]string{"evaluate", "--train", dir}, exitFailed, "a folder per type"},
		"no folder":     {[]string{"train", "--train", filepath.Join(dir, "x"), "--out", filepath.Join(dir, "m")}, exitFailed, "no such file"},
		"a wrong date":  {[]string{"train", "--train", dir, "--out", filepath.Join(dir, "m"), "--date", "30.11.2026"}, exitUsage, "2026-11-30"},
		"configuration": {[]string{"train", "--train", dir, "--out", filepath.Join(dir, "m"), "--set", "site=x"}, exitUsage, "leave it out"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, err := ways(t, append([]string{"fingerprint"}, c.args...)...)
			if code != c.code || !bytes.Contains([]byte(err), []byte(c.says)) {
				t.Errorf("status %d, want %d; said %q, want %q", code, c.code, err, c.says)
			}
		})
	}
}

// TestFingerprintOfShared trains twice, which gives one file and the one in the
// program, and tests that on what it was made of.
func TestFingerprintOfShared(t *testing.T) {
	shared := os.Getenv("WARDFLOW_SHARED")
	if shared == "" {
		shared = "../../../shared"
	}
	captures := filepath.Join(shared, "captures", "iot-sentinel")
	if _, err := os.Stat(captures); err != nil {
		t.Skip("the captures are not here: set WARDFLOW_SHARED to the shared folder")
	}
	out := filepath.Join(t.TempDir(), "model.bin")
	code, _, said := ways(t, "fingerprint", "train", "--train", captures, "--out", out, "--date", behaviourDate, "--source", behaviourSource)
	if code != 0 {
		t.Fatal(said)
	}
	made, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile("../fingerprint/behaviour/model.bin")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, kept) {
		t.Error("training gives another model than the one in the program: run `go tool task behaviour`")
	}
	code, report, said := ways(t, "fingerprint", "evaluate", "--test", captures)
	if code != 0 {
		t.Fatal(said)
	}
	var r struct {
		Method   string  `json:"method"`
		Types    int     `json:"types"`
		Macro    float64 `json:"macro_accuracy"`
		Rejected int     `json:"rejected"`
		Samples  int     `json:"samples"`
	}
	if err := json.Unmarshal([]byte(report), &r); err != nil {
		t.Fatal(err)
	}
	if r.Types != 27 || r.Macro < 0.99 || r.Rejected > r.Samples/20 {
		t.Errorf("on what it learned from: %+v", r)
	}
}

// What `go tool task behaviour` writes into the model.
const (
	behaviourDate   = "2026-11-30"
	behaviourSource = "IoT Sentinel (M. Miettinen et al., 2017), half of its captures"
)
