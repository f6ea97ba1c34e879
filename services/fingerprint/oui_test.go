package fingerprint

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

var update = flag.Bool("update", false, "rewrite the expectations of testdata/scripts, and signatures/oui.tsv.gz from the shared IEEE list")

// TestOUIListIsTheIEEEs holds the embedded list to its source, and rewrites it
// with -update.
func TestOUIListIsTheIEEEs(t *testing.T) {
	f, err := os.Open(repotest.Shared(t, "data/ieee-oui-data-2.1.9.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	source := map[string]string{}
	if err := json.NewDecoder(z).Decode(&source); err != nil {
		t.Fatal(err)
	}
	lines := make([]string, 0, len(source))
	for prefix, text := range source {
		name, _, _ := strings.Cut(text, "\n")
		lines = append(lines, prefix+"\t"+trimLegal(name))
	}
	slices.Sort(lines)
	want := strings.Join(lines, "\n") + "\n"
	if *update {
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, want)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("signatures/oui.tsv.gz", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := strings.Join(ieee().lines, "\n") + "\n"; got != want {
		t.Errorf("the embedded list differs from its source; run go test ./services/fingerprint -run OUI -update")
	}
}

func TestRegistrant(t *testing.T) {
	for mac, want := range map[string]string{
		"00:30:e6:4a:07:01": "Draeger Medical Systems",
		"f8:c6:78:10:42:01": "Carefusion",
		"18:66:da:3c:10:0a": "Dell",
		"00:25:45:a1:08:01": "Cisco Systems",
		"8c:16:45:33:9a:4c": "LCFC(Hefei) Electronics Technology",
		"02:00:00:00:00:01": "", // locally administered
		"01:00:5e:00:00:fb": "", // multicast
		"":                  "",
	} {
		var m proto.MAC
		if err := m.UnmarshalText([]byte(mac)); err != nil {
			t.Fatal(err)
		}
		if got := ieee().registrant(m); got != want {
			t.Errorf("%s: %q, want %q", mac, got, want)
		}
	}
}

// TestLongestAssignmentCounts: a block of 28 or 36 bits is inside one of 24 that
// is registered to the IEEE itself.
func TestLongestAssignmentCounts(t *testing.T) {
	r := &registry{lines: []string{"AABBCC\tbig", "AABBCC1\tmiddle", "AABBCC123\tsmall"}}
	for mac, want := range map[proto.MAC]string{
		{0xa8, 0xbb, 0xcc, 0x12, 0x30, 0}: "",
		{0xaa &^ 2, 0xbb, 0xcc, 0, 0, 0}:  "",
	} {
		if got := r.registrant(mac); got != want {
			t.Errorf("%s: %q, want %q", mac, got, want)
		}
	}
	r = &registry{lines: []string{"A8BBCC\tbig", "A8BBCC1\tmiddle", "A8BBCC123\tsmall"}}
	for mac, want := range map[proto.MAC]string{
		{0xa8, 0xbb, 0xcc, 0x12, 0x3f, 0}: "small",
		{0xa8, 0xbb, 0xcc, 0x12, 0x4f, 0}: "middle",
		{0xa8, 0xbb, 0xcc, 0x22, 0x3f, 0}: "big",
	} {
		if got := r.registrant(mac); got != want {
			t.Errorf("%s: %q, want %q", mac, got, want)
		}
	}
}

func TestTrimLegal(t *testing.T) {
	for in, want := range map[string]string{
		"Dell Inc.": "Dell", "Siemens AG": "Siemens", "MOXA TECHNOLOGIES CORP., LTD.": "MOXA TECHNOLOGIES", "Xerox  Corporation": "Xerox",
		"Inc": "Inc", "": "", "Sasco": "Sasco", "Philips Patient Monitoring": "Philips Patient Monitoring",
	} {
		if got := trimLegal(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
