package fingerprint

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/proto"
)

// A device that the difference of two sets does not touch is the same to both, whatever
// was added, changed, taken away or put in the place of a pack of the program; and what
// does become another device is touched.
func TestDifference(t *testing.T) {
	pack := func(name, text string) *Pack {
		t.Helper()
		p, err := ParsePack(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	base := embedded()
	set := func(packs ...*Pack) *signatures {
		t.Helper()
		s, err := base.with(packs)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	scales := pack("scales", scalePack)
	printers := pack("scales", strings.Replace(scalePack, "scale: 0.9", "printer: 0.9", 1))
	none := pack("oui", "pack: oui\nversion: 9.0.0\nlicence: CC0-1.0\nrules: []\n")
	maker := pack("makers", strings.NewReplacer("attribute: model", "attribute: oui_vendor", "ACME W", "Baxter").Replace(scalePack))
	macs := []proto.MAC{addressOf(t, "Dell"), addressOf(t, "Baxter")}
	for name, c := range map[string]struct {
		a, b    *signatures
		touched bool // whether any of the devices is
	}{
		"added":         {base, set(scales), true},
		"changed":       {set(scales), set(printers), true},
		"taken away":    {set(scales), base, true},
		"in its place":  {base, set(none), true},
		"maker":         {base, set(maker), true},
		"the same":      {set(scales), set(scales), false},
		"another order": {set(scales, maker), set(maker, scales), true},
	} {
		d, any := differ(c.a, c.b), false
		for i, model := range []string{"ACME W200", "acme w9", "Other", "8015 PCU", "SOMATOM go.Up"} {
			s := summaryFor(i, model)
			s.MAC = macs[i%2]
			all := []*proto.Summary{s}
			touched := d == nil || d.touches(all)
			any = any || touched
			other := factsOf(c.a.device(s.Group, all)) != factsOf(c.b.device(s.Group, all))
			if other && !touched {
				t.Errorf("%s: device %d becomes another and is not touched", name, i)
			}
		}
		if any != c.touched {
			t.Errorf("%s: touched %v, want %v", name, any, c.touched)
		}
	}
}

// addressOf gives an address of a maker.
func addressOf(t *testing.T, maker string) (m proto.MAC) {
	t.Helper()
	for _, line := range ieee().lines {
		prefix, name, _ := strings.Cut(line, "\t")
		if b, err := hex.DecodeString(prefix); err == nil && len(b) == 3 && strings.HasPrefix(name, maker) {
			copy(m[:], b)
			return m
		}
	}
	t.Fatalf("nobody in the registry is %s", maker)
	return m
}
