package replay

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

func TestSpool(t *testing.T) {
	for _, limit := range []int{1, 1000, 1 << 30} {
		rng := rand.New(rand.NewPCG(1, 2))
		s := &spool{limit: limit, dir: func() (string, error) { return t.TempDir(), nil }}
		var want []string
		n := 3000
		if limit == 1 {
			n = 300 // a file each
		}
		for range n {
			key := bytes.Repeat([]byte{byte(rng.IntN(4))}, rng.IntN(5))
			val := bytes.Repeat([]byte{byte(rng.IntN(3))}, rng.IntN(40))
			want = append(want, string(key)+"\xff"+string(val))
			if err := s.add(key, val); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		runs := slices.Clone(s.runs)
		if err := s.each(func(key, val []byte) error {
			got = append(got, string(key)+"\xff"+string(val))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(want, func(a, b string) int {
			ak, av, _ := strings.Cut(a, "\xff")
			bk, bv, _ := strings.Cut(b, "\xff")
			if c := strings.Compare(ak, bk); c != 0 {
				return c
			}
			return strings.Compare(av, bv)
		})
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: %d entries out, in another order or not the same as the %d that went in", limit, len(got), len(want))
		}
		if (len(runs) > 0) == (limit == 1<<30) {
			t.Errorf("limit %d: %d files", limit, len(runs))
		}
		for _, f := range runs {
			if _, err := os.Stat(f.Name()); err == nil {
				t.Errorf("%s is left", f.Name())
			}
		}
	}
}

// TestSortKeyOrdersTimes: capture times before 1970 would come first.
func TestSortKeyOrdersTimes(t *testing.T) {
	var last []byte
	for _, at := range []proto.Time{-5, -1, 0, 1, day, day + 1} {
		key := sortKey(nil, at, proto.ID{})
		if bytes.Compare(key, last) <= 0 {
			t.Errorf("%d does not come after the one before", at)
		}
		last = key
	}
}

// The cases are those of pkg/store's view v_flows.
func TestRegistry(t *testing.T) {
	e1, e2, e3 := proto.ID{1}, proto.ID{2}, proto.ID{3}
	pump, old, pacs, laptop, printer := proto.ID{11}, proto.ID{12}, proto.ID{13}, proto.ID{14}, proto.ID{15}
	r := newRegistry()
	bind := func(e, d proto.ID, at time.Duration) { r.bind(&proto.Binding{Endpoint: e, Device: d}, day.Add(at)) }
	bind(e1, old, 0)
	bind(e1, old, time.Minute)
	bind(e1, pump, 2*time.Minute)
	bind(e2, pacs, 0)
	bind(e3, laptop, 0)
	bind(e3, pacs, 10*time.Minute)
	bind(e3, printer, 10*time.Minute)
	for id, d := range map[proto.ID]*proto.Device{
		old: {}, pump: {Aliases: proto.IDs{old, e1}}, pacs: {FirstSeen: 1}, printer: {Gateway: old},
	} {
		d.DeviceID = id
		r.devices[id] = d
	}
	r.tell(laptop[:], []byte(`{"device_id":"`+laptop.String()+`"}`))
	r.tell(laptop[:], nil) // withdrawn
	r.tell(e3[:], []byte(`{"device_id":"`+e3.String()+`","first_seen":"2026-11-17T00:00:00Z"}`))
	if err := r.settle(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		endpoint proto.ID
		at       time.Duration
		want     proto.ID
	}{
		{e1, -time.Minute, pump}, // before the first binding, of a device merged since
		{e1, 90 * time.Second, pump},
		{e1, time.Hour, pump},
		{e2, 0, pacs},
		{e3, -time.Hour, laptop},
		{e3, 10*time.Minute - 1, laptop},
		{e3, 10 * time.Minute, printer},
		{e3, time.Hour, printer},
		{proto.ID{9}, 0, proto.ID{}},
	} {
		if got := r.at(tt.endpoint, day.Add(tt.at)); got != tt.want {
			t.Errorf("endpoint %s at %v is %s, want %s", tt.endpoint, tt.at, got, tt.want)
		}
	}
	var final []proto.ID
	for _, d := range r.final() {
		final = append(final, d.DeviceID)
	}
	if !slices.Equal(final, []proto.ID{pump, printer, pacs, e3}) {
		t.Errorf("devices in the end %v", final)
	}
	if got := r.devices[printer].Gateway; got != pump {
		t.Errorf("the printer is behind %s, want what its gateway has become, %s", got, pump)
	}
	use := func(d proto.ID, start, end proto.Time, state string) *proto.Usage {
		u := &proto.Usage{DeviceID: d, Start: start, End: end, State: state, How: "inferred"}
		if state == "in_use" {
			u.Kind, u.How = "exam", "decoded"
		}
		return u
	}
	own := r.ownUse([]*proto.Usage{use(pump, 0, 4, "idle"), use(pump, 4, 8, "in_use"), use(pump, 8, 9, "idle"), use(pump, 9, 12, "in_use"), use(printer, 4, 8, "in_use"), use(printer, 8, 12, "idle")})
	var text []string
	for _, u := range own {
		text = append(text, fmt.Sprintf("%s %d-%d %s", u.DeviceID.String()[:2], u.Start, u.End, u.State))
	}
	slices.Sort(text)
	if got, want := strings.Join(text, ", "), "0b 0-9 idle, 0b 9-12 in_use, 0f 4-8 in_use, 0f 8-12 idle"; got != want {
		t.Errorf("uses of those behind it are not the gateway's: got %s, want %s", got, want)
	}
	r.devices[pacs].FirstSeen = 10
	lines := r.within([]*proto.Usage{{DeviceID: pacs, Start: 1, End: 10}, {DeviceID: pacs, Start: 2, End: 20}, {DeviceID: pacs, Start: 20, End: 30}})
	if len(lines) != 2 || lines[0].Start != 10 || lines[1].Start != 20 {
		t.Errorf("lines from when the device is known on: %+v", lines)
	}
}

func TestRegistryRefusesWhatIsNoDevice(t *testing.T) {
	r := newRegistry()
	r.tell([]byte{1}, []byte("{"))
	if err := r.settle(); err == nil {
		t.Error("no error")
	}
}

func TestContext(t *testing.T) {
	c, err := LoadContext(write(t, "context.yaml", []byte(`
sites:
  - {site: ward, home: [10.1.0.0/16]}
  - {site: other, home: [10.2.0.0/16]}
subnets:
  - {cidr: 10.3.0.0/24, site: ward, vlan: 3, name: Radiology}
  - {cidr: 10.1.0.0/16, site: ward}
  - {cidr: 10.4.0.0/24}
policy:
  ward: {learning_period_s: 60, trusted_externals: [192.0.2.0/24]}
  other: {silence_min_s: 5}
roster: [{name: a}]
framework: {name: x}
`)))
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.3.0.0/24"), netip.MustParsePrefix("10.4.0.0/24")}
	if got := c.Home("ward"); !slices.Equal(got, want) {
		t.Errorf("home %v", got)
	}
	p, err := c.Protos()
	if err != nil || len(p) != 2 || p[0].Site != "other" || p[1].LearningPeriodS != 60 || p[1].TrustedExternals[0] != "192.0.2.0/24" {
		t.Errorf("policies %+v, %v", p, err)
	}
	if got := c.Unused(); !slices.Equal(got, []string{"framework"}) || c.Warned() == nil {
		t.Errorf("unused %q, warned %v", got, c.Warned())
	}
}

func TestContextTellsEveryProblem(t *testing.T) {
	_, err := LoadContext(write(t, "context.yaml", []byte("sites: [{site: '', home: [x]}]\nsubnets: [{cidr: 10.0.0.1/8}]\npolicy: {w: {silence_min_s: -1, learning_until: soon}}\n")))
	for _, want := range []string{"context.yaml:1: a site without a name", "context.yaml:2: cidr: 10.0.0.1/8 has host bits set"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	_, err = LoadContext(write(t, "context.yaml", []byte("sites: [{site: ' a', home: [10.0.0.0/8]}]\npolicy: {w: {silence_min_s: -1, learning_until: soon}}\n")))
	for _, want := range []string{"sites[0].site:", "policy.w.silence_min_s: is -1", "policy.w.learning_until:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	_, err = LoadContext(write(t, "context.yaml", []byte("sites: []\nsiets: 1\nsubnets: [{crid: x}]\n")))
	if err == nil || !strings.Contains(err.Error(), "siets") || !strings.Contains(err.Error(), "crid") {
		t.Errorf("error %v", err)
	}
	if c, err := LoadContext(write(t, "empty.yaml", nil)); err != nil || len(c.Home("w")) != 0 {
		t.Errorf("empty file: %v", err)
	}
	if _, err := LoadContext(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error for a missing file")
	}
}

func TestAdvisories(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string, zip bool) {
		b := []byte(text)
		if zip {
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			if _, err := w.Write(b); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			b = z.Bytes()
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("a/x.json", `{"document":{"csaf_version":"2.0","title":"t"},"vulnerabilities":[{}]}`, false)
	put("a/kev", `{"catalogVersion":"1","vulnerabilities":[{},{}]}`, true)
	put("epss", "#model_version:v1\ncve,epss,percentile\nCVE-1,0.1,0.2\nCVE-2,0.1,0.2\n", true)
	put("epss2.csv", "cve,epss,percentile\nCVE-1,0.1,0.2", false)
	put("cve.json", `{"dataType":"CVE_RECORD"}`, false)
	put("nvd.json", "\xef\xbb\xbf"+`{"format":"NVD_CVE","vulnerabilities":[]}`, false)
	put("README", "hello", false)
	put("broken.json", `{"document":`, false)
	a, err := LoadAdvisories(dir)
	if err != nil {
		t.Fatal(err)
	}
	if a.CSAF != 1 || a.KEV != 2 || a.EPSS != 3 || a.CVE != 1 || a.NVD != 1 || len(a.Unknown) != 2 {
		t.Errorf("%s, unknown %v", a, a.Unknown)
	}
	if _, err := LoadAdvisories(filepath.Join(dir, "none")); err == nil {
		t.Error("no error for a folder that is not there")
	}
}
