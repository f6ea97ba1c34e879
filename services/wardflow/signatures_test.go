package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/proto"
)

const ourPack = `pack: our-pumps
version: 1.0.0
licence: CC0-1.0
rules:
  - id: acme
    match: {attribute: model, prefix: ACME}
    says: {type: {infusion_pump: 0.9}}
    source: the maker's manual
    examples: [{evidence: ACME X2, expect: {type: infusion_pump}}]
`

func TestSignaturesCommand(t *testing.T) {
	good := tempFile(t, "our.yaml", ourPack)
	bad := tempFile(t, "bad.yaml", strings.Replace(ourPack, "    source: the maker's manual\n", "", 1))
	cut := tempFile(t, "cut.yaml", ourPack[:40])
	for _, c := range []struct {
		args     []string
		code     int
		out, err string
	}{
		{[]string{"signatures", "test"}, 0, "all is well", ""},
		{[]string{"signatures", "test", good}, 0, "1 pack, 1 rule, 1 example: all is well", ""},
		{[]string{"signatures", "test", good, bad}, 1, "", "bad.yaml:5: rule acme: source is missing"},
		{[]string{"signatures", "test", filepath.Dir(good)}, 0, "1 pack", ""},
		{[]string{"signatures", "test", t.TempDir()}, 1, "", "has no *.yaml"},
		{[]string{"signatures", "test", "nowhere.yaml"}, 1, "", "nowhere.yaml"},
		{[]string{"signatures", "test", cut}, 1, "", "cut.yaml"},
		{[]string{"signatures", "list", "--program"}, 0, "dicom", ""},
		{[]string{"signatures", "add", bad, "--by", "x"}, 1, "", "nothing was added"},
		{[]string{"signatures", "add", good}, 2, "", "--by"},
		{[]string{"signatures", "add", good, "--by", " "}, 2, "", "--by is empty"},
		{[]string{"signatures", "add", "nowhere.yaml", "--by", "x"}, 2, "", "nowhere.yaml"},
		{[]string{"replay", good, "--site", "x", "--out", t.TempDir(), "--signatures", bad}, 2, "", "source is missing"},
	} {
		r := runCLI(t, []string{"WARDFLOW_DATA_DIR=" + t.TempDir()}, "", c.args...)
		if r.code != c.code || !strings.Contains(r.out, c.out) || !strings.Contains(r.err, c.err) {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
}

// What wardflow.control says of packs in the end is what is listed.
func TestPacksAreAddedAndTakenAway(t *testing.T) {
	kafka := testKafka(t, 2)
	for _, step := range []struct {
		pack proto.SignaturePack
		want string
	}{
		{proto.SignaturePack{Name: "b", By: "x", Text: ourPack}, "b"},
		{proto.SignaturePack{Name: "a", By: "y", Text: ourPack}, "a b"},
		{proto.SignaturePack{Name: "b", By: "y", Removed: true}, "a"},
		{proto.SignaturePack{Name: "b", By: "z", Text: ourPack}, "a b"},
	} {
		if err := publishPack(t.Context(), kafka, &step.pack); err != nil {
			t.Fatal(err)
		}
		list, err := addedPacks(t.Context(), kafka)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range list {
			names = append(names, p.Name)
			if p.Time == 0 || p.Text != ourPack {
				t.Errorf("%+v", p)
			}
		}
		if got := strings.Join(names, " "); got != step.want {
			t.Errorf("after %s of %s: %q, want %q", step.pack.Name, step.pack.By, got, step.want)
		}
	}
}

// TestConfiguredPacks: what a path to packs comes to.
func TestConfiguredPacks(t *testing.T) {
	if _, err := configuredPacks(tempFile(t, "our.yaml", ourPack)); err != nil {
		t.Error(err)
	}
	if packs, err := configuredPacks(""); err != nil || packs != nil {
		t.Errorf("no packs: %v %v", packs, err)
	}
	if _, err := configuredPacks(tempFile(t, "bad.yaml", "pack: x\n")); err == nil || !strings.Contains(err.Error(), "wardflow signatures test") {
		t.Errorf("a bad pack: %v", err)
	}
}
