package fingerprint

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
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

// alternatives are those of an expression, at its top or in its only group.
func alternatives(expression string) []string {
	prefix, inner := "", expression
	if in, ok := strings.CutPrefix(expression, "^("); ok && strings.HasSuffix(in, ")") && !strings.Contains(strings.ReplaceAll(in, "(", ""), "(") {
		prefix, inner = "^", strings.TrimSuffix(in, ")")
	}
	var list []string
	depth, from := 0, 0
	for i, r := range inner {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == '|' && depth == 0:
			list = append(list, prefix+inner[from:i])
			from = i + 1
		}
	}
	return append(list, prefix+inner[from:])
}

// TestOUIRulesNameRegistrants: what rules and lists say of the MAC's registrant is about
// somebody whom the registry has; else a MAC could never show it.
func TestOUIRulesNameRegistrants(t *testing.T) {
	s := embedded()
	var registrants strings.Builder
	for _, line := range ieee().lines {
		_, name, _ := strings.Cut(line, "\t")
		registrants.WriteString(name + "\n")
	}
	all := registrants.String()
	found := func(expression string) bool {
		re, err := regexp.Compile("(?im)" + expression)
		return err == nil && re.MatchString(all)
	}
	checked := 0
	for _, p := range s.packs {
		for i := range p.Rules {
			r := &p.Rules[i]
			if p.Name != "oui" || !r.enabled() {
				continue
			}
			for _, a := range alternatives(cmp.Or(r.Match.Regex, "^"+regexp.QuoteMeta(r.Match.Prefix+r.Match.Equals))) {
				if checked++; !found(a) {
					t.Errorf("%s: no registrant is %q", r.ID, a)
				}
			}
		}
	}
	for _, m := range s.interfaces {
		for _, a := range alternatives(strings.TrimPrefix(m.is.String(), "(?i)")) {
			if checked++; !found(a) {
				t.Errorf("interfaces.yaml: %s: no registrant is %q", m.name, a)
			}
		}
	}
	if checked < 200 {
		t.Errorf("%d names checked", checked)
	}
	for name, want := range map[string]float64{"Intel Corporate": weightInterface, "Intelligent Platforms": weightOUI, "Hon Hai Precision Ind": weightInterface, "Draeger Medical": weightOUI, "Digital Lightwave": weightOUI} {
		if got := s.weightOUI(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
