package calibration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/proto"
)

func labels(t *testing.T, text string) (*Labels, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "labels.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return ReadLabels(file)
}

const good = `
labels: ours
captures:
  - file: a/*.pcap
    known: the maker's plate
    hosts:
      - {mac: 'AA:00:00:00:00:01', is: {model: [X1, 'X 1'], manufacturer: ACME, hostname: pump1}}
      - {serial: S1, known: the worksheet, is: {type: infusion_pump}}
`

func TestReadLabels(t *testing.T) {
	l, err := labels(t, good)
	if err != nil {
		t.Fatal(err)
	}
	h := l.Captures[0].Hosts
	if h[0].MAC != "aa:00:00:00:00:01" || h[0].Known != "the maker's plate" || h[1].Known != "the worksheet" || len(h[0].Is["model"]) != 2 {
		t.Errorf("%+v", h)
	}
	for name, c := range map[string]struct{ from, to, says string }{
		"no name":      {"labels: ours", "about: x", "name the set"},
		"no value":     {"ACME", "''", "manufacturer has no value"},
		"attribute":    {"manufacturer", "maker", `"maker" is none of`},
		"outside":      {"a/*.pcap", "../*.pcap", "below the folder"},
		"pattern":      {"a/*.pcap", "'a/[.pcap'", "a pattern such as"},
		"two keys":     {"serial: S1", "serial: S1, ip: 10.0.0.1", "one of mac, ip and serial"},
		"how known":    {"    known: the maker's plate\n", "", "how does one know"},
		"twice":        {"serial: S1", "mac: 'aa:00:00:00:00:01'", "labelled twice"},
		"unknown key":  {"serial: S1", "serial: S1, note: x", "field note"},
		"no captures":  {good, "labels: x", "there is none"},
		"nothing said": {"{type: infusion_pump}", "{}", "there is no value"},
	} {
		if _, err := labels(t, strings.Replace(good, c.from, c.to, 1)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	if _, err := ReadLabels("absent.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

func TestAgrees(t *testing.T) {
	for _, c := range []struct {
		attribute, told, right string
		want                   bool
	}{
		{"model", "ms  20", "MS 20", true},
		{"model", "MS 20B", "MS 20", false},
		{"manufacturer", "Siemens Healthcare Diagnostics", "Siemens", true},
		{"manufacturer", "D-Link International", "DLink", true},
		{"manufacturer", "Hewlett-Packard", "HP", true},
		{"manufacturer", "Siemensstadt", "Siemens", false},
		{"os", "Windows", "Windows 10", true},
		{"os", "Windows 10", "Windows", false},
		{"os", "Win", "Windows", false},
		{"os_version", "10", "10.0", false},
		{hostname, "PUMP1.st-alban.example", "pump1", true},
		{hostname, "pump11", "pump1", false},
	} {
		if got := agrees(c.attribute, c.told, []string{"never", c.right}); got != c.want {
			t.Errorf("%s: %q is %q: %v", c.attribute, c.told, c.right, got)
		}
	}
}

// world has two captures; in the second the pump's model is told wrong, and surely.
func world(t *testing.T) (dir string, replay Replay) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"1.pcap", "2.pcap", "3.pcap"} {
		if err := os.WriteFile(filepath.Join(dir, "a", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, func(_ context.Context, file string) ([]*proto.Device, error) {
		d := &proto.Device{
			MACs: proto.Strings{"aa:00:00:00:00:01"}, Hostnames: proto.Strings{"PUMP1"}, Manufacturer: &proto.Fact{Value: "Acme Inc", Confidence: 0.5, Sources: proto.Strings{"oui"}},
			Model: &proto.Fact{Value: "x1", Confidence: 0.95, Sources: proto.Strings{"lldp", "snmp"}},
		}
		switch filepath.Base(file) {
		case "2.pcap":
			d.Model.Value, d.Manufacturer = "Y|9", nil
		case "3.pcap":
			return nil, errors.New("it is torn")
		}
		return []*proto.Device{{}, d}, nil
	}
}

func TestMeasure(t *testing.T) {
	l, err := labels(t, good+"  - {file: b/none.pcap, known: x, hosts: [{ip: 10.0.0.1, is: {os: Linux}}]}\n")
	if err != nil {
		t.Fatal(err)
	}
	dir, replay := world(t)
	var notes []string
	r, err := Measure(context.Background(), dir, []*Labels{l}, replay, func(f string, a ...any) { notes = append(notes, fmt.Sprintf(f, a...)) })
	if err != nil {
		t.Fatal(err)
	}
	if len(notes) != 2 || r.Missing != 2 || r.Captures != 2 || r.Hosts != 4 {
		t.Errorf("%d captures of %d hosts, %d missing: %q", r.Captures, r.Hosts, r.Missing, notes)
	}
	// Of each capture: manufacturer, model, and the type of who is not there.
	if c := r.All; c.Values != 6 || c.Lost != 2 || c.Shown != 3 || c.Right != 2 || c.NineTen {
		t.Errorf("all: %+v", c)
	}
	if n := r.All.Nine; n.Shown != 2 || n.Right != 1 || n.Share != 0.5 || n.Mean != 0.95 || n.Low > 0.1 || n.High < 0.9 {
		t.Errorf("from 0.9: %+v", n)
	}
	if r.Hostnames != (Names{Values: 2, Listed: 2}) {
		t.Errorf("host names: %+v", r.Hostnames)
	}
	if r.Source["lldp"].Shown != 2 || r.Source["snmp"].Right != 1 || r.Attribute["manufacturer"].Bins[1].Right != 1 || r.Halves[HalfOf("a/*.pcap")].Values != 6 {
		t.Errorf("parts: %+v %+v", r.Source, r.Attribute)
	}
	if len(r.Wrong) != 1 || r.Wrong[0].Told != "Y|9" || len(r.Blank) != 3 {
		t.Errorf("wrong %+v, not shown %+v", r.Wrong, r.Blank)
	}
	var b bytes.Buffer
	if err := r.Table(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| 0.95 to 1 | 2 | 1 | 50.0 % |", `| a/2.pcap | aa:00:00:00:00:01 | model | X1 / X 1 | Y\|9 | 0.95 | lldp, snmp |`,
		"| manufacturer | 2 | 1 | - | 1 of 1 | - |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if _, err := Measure(context.Background(), t.TempDir(), []*Labels{l}, replay, func(string, ...any) {}); err == nil {
		t.Error("nothing was measured, and that was no error")
	}
}

// TestHalves: about half of all names are in either half, and a name stays in its own.
func TestHalves(t *testing.T) {
	n := 0
	for i := range 1000 {
		if HalfOf(fmt.Sprint(i, ".pcap")) == HalfTuned {
			n++
		}
	}
	if n < 450 || n > 550 {
		t.Errorf("%d of 1000 in the one half", n)
	}
	if HalfOf("a/*.pcap") != HalfTuned || HalfOf("b/*.pcap") != HalfHeldOut { // results that were published hold to it
		t.Errorf("a is %s, b is %s", HalfOf("a/*.pcap"), HalfOf("b/*.pcap"))
	}
}

// TestBins: 1 belongs to the last bin, and an edge to the bin that begins there.
func TestBins(t *testing.T) {
	c := newCount()
	for _, x := range []float64{0.2, 0.5, 0.9, 0.9499, 0.95, 1} {
		c.add(&Verdict{Told: "x", OK: true, Confidence: x})
	}
	var got []int
	for _, b := range c.Bins {
		got = append(got, b.Shown)
	}
	if fmt.Sprint(got, c.Nine.Shown) != "[1 1 0 0 2 2] 4" {
		t.Errorf("%v, %d from 0.9", got, c.Nine.Shown)
	}
	if c.finish(); !c.NineTen || c.Nine.Share != 1 {
		t.Errorf("%+v", c.Nine)
	}
}
