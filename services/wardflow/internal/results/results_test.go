package results

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDevices(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "devices.jsonl")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Devices(dir, ""); err == nil || !strings.Contains(err.Error(), "replay --out") {
		t.Errorf("no file: %v", err)
	}
	write("{\"site\":\"a\"}\n\n  {\"site\":\"b\"}") // the last line has no end
	for site, want := range map[string]int{"": 2, "b": 1, "c": 0} {
		if list, err := Devices(dir, site); err != nil || len(list) != want {
			t.Errorf("site %q: %d devices, %v; want %d", site, len(list), err, want)
		}
	}
	write("{\"site\":\"a\"}\n\n{\"site\":")
	if list, err := Devices(dir, ""); err == nil || !strings.Contains(err.Error(), path+":3: ") || list != nil {
		t.Errorf("a damaged line: %v, %v", list, err)
	}
}
