package fingerprint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEmbeddedPacks: what the program is delivered with passes its own lint, and its
// rules have what every pack's must have.
func TestEmbeddedPacks(t *testing.T) {
	packs := EmbeddedPacks()
	for _, p := range Lint(packs) {
		t.Error(p)
	}
	if len(packs) != len(packFiles) {
		t.Errorf("%d packs, want %d", len(packs), len(packFiles))
	}
	constructed := 0
	for _, p := range packs {
		for i := range p.Rules {
			r := &p.Rules[i]
			if !r.enabled() && !strings.Contains(r.Note, "To be enabled") {
				t.Errorf("%s/%s is not enabled, and its note does not say what would make it so", p.Name, r.ID)
			}
			for _, x := range r.Examples {
				if x.Constructed {
					constructed++
				}
			}
		}
	}
	if constructed > 80 { // what is made after an expression tests only itself
		t.Errorf("%d examples are constructed", constructed)
	}
}

const goodPack = `pack: ward
version: 1.0.0
licence: CC0-1.0
rules:
  - id: acme-pump
    match: {attribute: [model, hostname], regex: '^acme pump (\w+)'}
    says: {type: {infusion_pump: 0.9}, model: {'$1': 0.8}}
    source: the maker's manual, page 12
    examples: [{evidence: ACME Pump X2, expect: {type: infusion_pump, model: X2}}]
    counter_examples: [ACME scale]
`

func TestLint(t *testing.T) {
	_, rules, _ := strings.Cut(goodPack, "rules:\n")
	for name, c := range map[string]struct{ old, new, want string }{
		"good":                {"", "", ""},
		"bad name":            {"pack: ward", "pack: My Ward", "small letters"},
		"no version":          {"version: 1.0.0\n", "", "version is missing"},
		"no licence":          {"licence: CC0-1.0\n", "", "licence is missing"},
		"bad expression":      {`^acme pump (\w+)`, `^acme (?!x)`, "RE2"},
		"matches everything":  {`^acme pump (\w+)`, `x*`, "matches everything"},
		"two kinds of match":  {"regex:", "equals: x, regex:", "say one of"},
		"unknown evidence":    {"[model, hostname]", "paint", `nothing tells evidence "paint"`},
		"unknown attribute":   {"type: {infusion_pump: 0.9}", "colour: {red: 0.9}", "is no attribute of a device"},
		"unknown type":        {"infusion_pump: 0.9", "pump: 0.9", "is not in types.yaml"},
		"weight 1":            {"infusion_pump: 0.9", "infusion_pump: 1", "not between 0 and 1"},
		"weight 0":            {"infusion_pump: 0.9", "infusion_pump: 0", "not between 0 and 1"},
		"no source":           {"    source: the maker's manual, page 12\n", "", "source is missing"},
		"no example":          {"    examples: [{evidence: ACME Pump X2, expect: {type: infusion_pump, model: X2}}]\n", "", "examples is missing"},
		"example not matched": {"evidence: ACME Pump X2", "evidence: ACME Scale", "does not match"},
		"example says else":   {"model: X2}}", "model: X3}}", `expected was "X3"`},
		"counter example":     {"[ACME scale]", "[acme pump y]", `counter example "acme pump y" matches`},
		"an address":          {`^acme pump (\w+)`, `10\.1\.2\.3`, "names an address"},
		"a MAC":               {`^acme pump (\w+)`, `00:30:e6:01:02:03`, "names a device's MAC"},
		"a capture":           {`^acme pump (\w+)`, `ward\.pcap`, "names a capture file"},
		"unknown key":         {"    source:", "    sauce: x\n    source:", "field sauce is not known"},
		"unknown match key":   {"{attribute:", "{attr: x, attribute:", "field attr is not known"},
		"constructed":         {"{evidence: ACME Pump X2,", "{constructed: true, evidence: ACME Pump X2,", ""},
		"unknown head":        {"version:", "colour: red\nversion:", "colour"},
		"not YAML":            {"pack: ward", "pack: [", "yaml"},
		"two documents":       {"rules:", "rules: []\n---\nrules:", "more than one document"},
		"twice":               {"rules:\n", "rules:\n" + rules, "id is used twice"},
		"same match":          {"rules:\n", "rules:\n" + strings.Replace(rules, "acme-pump", "other", 1), "has a rule for the same already"},
	} {
		var said []string
		p, err := ParsePack("ward.yaml", []byte(strings.Replace(goodPack, c.old, c.new, 1)))
		if err != nil {
			said = append(said, err.Error())
		} else {
			for _, problem := range Lint([]*Pack{p}) {
				said = append(said, problem.Error())
			}
		}
		text := strings.Join(said, "\n")
		if (c.want == "") != (text == "") || !strings.Contains(text, c.want) || strings.Contains(text, "%!") {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
		if text != "" && !strings.HasPrefix(text, "ward.yaml") {
			t.Errorf("%s: %q does not say where", name, text)
		}
	}
}

// TestEvidenceIsDocumented: the page for who writes packs names all evidence.
func TestEvidenceIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "how-to", "write-signatures.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range EvidenceAttributes() {
		if !strings.Contains(string(page), "`"+a+"`") {
			t.Errorf("%s is not on the page", a)
		}
	}
}
