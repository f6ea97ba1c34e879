package ward_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// truth is as much of the ward's sheet as is compared.
type truth struct {
	Hosts []truthHost `yaml:"hosts"`
}

type truthHost struct {
	ID  string  `yaml:"id"`
	MAC *string `yaml:"mac"`
	IPs []struct {
		IP string `yaml:"ip"`
	} `yaml:"ips"`
	Attributes map[string]struct {
		Value     any      `yaml:"value"`
		VisibleOn []string `yaml:"visible_on"`
		Readable  bool     `yaml:"readable"`
	} `yaml:"attributes"`
	Behind string `yaml:"behind_gateway"`
	Expect struct {
		Category      string   `yaml:"category"`
		Type          string   `yaml:"type"`
		AcceptedTypes []string `yaml:"accepted_types"`
	} `yaml:"expect"`
}

func readTruth(t *testing.T) *truth {
	b, err := os.ReadFile(repotest.Shared(t, "captures/ward-a/truth.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	v := new(truth)
	if err := yaml.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
	return v
}

// dissected are the sources of attributes that there are dissectors for.
func dissected(sources []string) bool {
	return slices.ContainsFunc(sources, func(s string) bool {
		return slices.Contains([]string{"dicom", "dhcp", "dns", "oui", "lldp", "mdns", "ssdp", "http", "tls", "ssh", "smb", "poct1a", "astm", "sdc", "intellivue", "ws-discovery", "bacnet", "modbus", "snmp", "cdp", "ipp", "pjl", "netbios"}, s) || strings.HasPrefix(s, "hl7")
	})
}

func value(f *proto.Fact) string {
	if f == nil {
		return ""
	}
	return f.Value
}

// TestDayOfDevices compares every device of the day with the sheet: categories,
// types, addresses, and each attribute that the dissected protocols show. A value
// that the sheet does not have was made up.
func TestDayOfDevices(t *testing.T) {
	w := run(t, nil, "day.pcapng")
	sheet := readTruth(t)
	if len(w.devices) != len(sheet.Hosts) {
		t.Errorf("%d devices, the ward has %d", len(w.devices), len(sheet.Hosts))
	}
	for _, h := range sheet.Hosts {
		d := find(w, &h)
		if d == nil {
			t.Errorf("%s is not found", h.ID)
			continue
		}
		compareKind(t, &h, d)
		for _, ip := range h.IPs {
			if !slices.Contains(d.IPs, ip.IP) {
				t.Errorf("%s: address %s is not in %v", h.ID, ip.IP, d.IPs)
			}
		}
		for name, got := range map[string]*proto.Fact{"model": d.Model, "serial": d.Serial, "software_version": d.SoftwareVersion} {
			compareAttribute(t, &h, name, value(got))
		}
		if a := h.Attributes["manufacturer"]; slices.ContainsFunc(a.VisibleOn, func(s string) bool {
			return slices.Contains([]string{"dicom", "hl7@pumpgw", "poct1a", "astm", "sdc", "intellivue"}, s)
		}) {
			compareAttribute(t, &h, "manufacturer", value(d.Manufacturer))
		}
		if a := h.Attributes["bed"]; a.Value != nil && strings.ReplaceAll(value(d.Location), "-", "^") != strings.ReplaceAll(fmt.Sprint(a.Value), "-", "^") {
			t.Errorf("%s: location %q, want %v", h.ID, value(d.Location), a.Value)
		}
		if a := h.Attributes["os"]; slices.Contains(a.VisibleOn, "lldp") && !sameSystem(value(d.OS), fmt.Sprint(a.Value)) {
			t.Errorf("%s: os %q, want %v", h.ID, value(d.OS), a.Value)
		}
		if a := h.Attributes["ae_title"]; a.Value != nil && !slices.Equal(d.AETitles, proto.Strings{fmt.Sprint(a.Value)}) {
			t.Errorf("%s: AE titles %v, want %v", h.ID, d.AETitles, a.Value)
		}
		if a := h.Attributes["hostname"]; dissected(a.VisibleOn) && !slices.ContainsFunc(d.Hostnames, func(n string) bool { return strings.HasPrefix(n, fmt.Sprint(a.Value)) }) {
			t.Errorf("%s: names %v, want %v", h.ID, d.Hostnames, a.Value)
		}
	}
}

// sameSystem reports that the sheet's system is the one that is told: it may say
// more (a version), and calls all of Cisco's IOS "Cisco IOS Software".
func sameSystem(got, want string) bool {
	return got != "" && (strings.HasPrefix(want, got) || (strings.HasPrefix(got, "Cisco IOS") && want == "Cisco IOS Software"))
}

func find(w *wardRun, h *truthHost) *proto.Device {
	if h.MAC != nil {
		return w.byMAC(*h.MAC)
	}
	for _, d := range w.devices {
		if value(d.Serial) == fmt.Sprint(h.Attributes["serial"].Value) && len(d.MACs) == 0 {
			return d
		}
	}
	return nil
}

func compareKind(t *testing.T, h *truthHost, d *proto.Device) {
	category, kind := value(d.Category), value(d.Type)
	t.Logf("%-8s %-8s %-20s %.2f  (%s %s)  %s | %s | %s | %s", h.ID, category, kind, confidence(d.Type), h.Expect.Category, h.Expect.Type,
		value(d.Manufacturer), value(d.Model), value(d.SoftwareVersion), value(d.OS))
	if category != h.Expect.Category {
		t.Errorf("%s: category %q, want %q", h.ID, category, h.Expect.Category)
	}
	if !slices.Contains(h.Expect.AcceptedTypes, kind) {
		t.Errorf("%s: type %q, want one of %v", h.ID, kind, h.Expect.AcceptedTypes)
	}
}

func confidence(f *proto.Fact) float64 {
	if f == nil {
		return 0
	}
	return f.Confidence
}

func compareAttribute(t *testing.T, h *truthHost, name, got string) {
	a := h.Attributes[name]
	want := ""
	sources := a.VisibleOn
	if name == "serial" { // a serial number inside a host name is the site's habit
		sources = slices.DeleteFunc(slices.Clone(sources), func(s string) bool { return s == "dhcp" })
	}
	if a.Value != nil && dissected(sources) {
		want = fmt.Sprint(a.Value)
	}
	if got != want {
		t.Errorf("%s: %s %q, want %q", h.ID, name, got, want)
	}
}

// TestDayOfTotals: the hourly rows agree with the flows that they are made of.
func TestDayOfTotals(t *testing.T) {
	w := run(t, nil, "day.pcapng")
	type key struct {
		endpoint proto.ID
		hour     proto.Time
	}
	var flows, pairs [5]uint64
	want, got := map[key][4]uint64{}, map[key][4]uint64{}
	add := func(m map[key][4]uint64, k key, v [4]uint64) {
		x := m[k]
		for i := range v {
			x[i] += v[i]
		}
		m[k] = x
	}
	for _, f := range w.flows {
		for i, n := range []uint64{f.SrcPackets, f.SrcBytes, f.DstPackets, f.DstBytes} {
			flows[i] += n
		}
		if f.Part == 0 {
			flows[4]++
		}
		if !f.SrcEndpoint.IsZero() {
			add(want, key{f.SrcEndpoint, f.End.Hour()}, [4]uint64{f.SrcPackets, f.SrcBytes, f.DstPackets, f.DstBytes})
		}
		if !f.DstEndpoint.IsZero() {
			add(want, key{f.DstEndpoint, f.End.Hour()}, [4]uint64{f.DstPackets, f.DstBytes, f.SrcPackets, f.SrcBytes})
		}
	}
	for _, p := range w.pairs {
		for i, n := range []uint64{p.SrcPackets, p.SrcBytes, p.DstPackets, p.DstBytes, p.Flows} {
			pairs[i] += n
		}
	}
	for _, a := range w.activity {
		add(got, key{a.Endpoint, a.Hour}, [4]uint64{a.PacketsOut, a.BytesOut, a.PacketsIn, a.BytesIn})
	}
	if flows != pairs || flows[0] == 0 {
		t.Errorf("pairs add up to %v, flows to %v", pairs, flows)
	}
	if len(got) != len(want) {
		t.Errorf("%d endpoint hours, want %d", len(got), len(want))
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s at %s: %v, want %v", w.name(k.endpoint), k.hour, got[k], v)
		}
	}
}

// TestTwiceTheSame: the day read twice tells the same, byte for byte.
func TestTwiceTheSame(t *testing.T) {
	a, b := run(t, nil, "day.pcapng"), run(t, nil, "day.pcapng")
	if len(a.emitted) == 0 || len(a.emitted) != len(b.emitted) {
		t.Fatalf("%d and %d outputs", len(a.emitted), len(b.emitted))
	}
	for i := range a.emitted {
		if a.emitted[i] != b.emitted[i] {
			t.Fatalf("output %d:\n%s\n%s", i, a.emitted[i], b.emitted[i])
		}
	}
}

// TestDayOfRisks: every device has a score, and those that speak clinical
// protocols in clear a reason for it.
func TestDayOfRisks(t *testing.T) {
	w := run(t, nil, "day.pcapng")
	last := map[proto.ID]*proto.Risk{}
	for _, r := range w.risks {
		if old := last[r.DeviceID]; old != nil && r.Version <= old.Version {
			t.Errorf("%s: version %d after %d", w.name(r.DeviceID), r.Version, old.Version)
		}
		last[r.DeviceID] = r
	}
	for id := range w.devices {
		r := last[id]
		if r == nil {
			t.Errorf("%s has no score", w.name(id))
			continue
		}
		t.Logf("%-36s %5.1f %-8s L %.3f I %.2f %v", w.name(id), r.Score, r.Tier, r.Likelihood, r.Impact, names(r))
	}
	for mac, want := range map[string]string{
		"00:01:e3:5d:31:01": "cleartext_dicom", "20:67:7c:d0:40:40": "cleartext_hl7", "94:57:a5:20:41:14": "cleartext_dicom",
	} {
		if r := last[w.byMAC(mac).DeviceID]; r == nil || !slices.Contains(names(r), want) {
			t.Errorf("%s: no %s", mac, want)
		}
	}
}

func names(r *proto.Risk) (list []string) {
	for _, f := range r.Factors {
		list = append(list, f.Name)
	}
	return list
}
