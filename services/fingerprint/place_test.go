package fingerprint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

const hospitalText = `
sites: [{site: st-alban, buildings: [{building: Main, floors: [{floor: "3", departments: [{department: ICU, rooms: [A, B]}]}]}]}]
subnets: [{cidr: 10.0.0.0/24, building: Main}]
vlans: [{vlan: 30, department: ICU}]
switch_ports: [{switch: sw-3, port: Gi1, room: A}, {switch: 00-1b, port: "7", room: B}]
access_points: [{access_point: ap-9, department: ICU}]
locations: [{is: bay 7, department: ICU}, {is: cabinet, protocol: dhcp, room: A}]
support: [{model: SOMATOM*, date: 2030-01-01, source: letter}]
roster: [{asset: A1, serial: "104722", owner: Radiology, purchase_cost: 10.00 EUR, maintenance_due: 2027-01-01}]
`

func (w *ward) hospital(text string) {
	w.t.Helper()
	list, err := ContextEvents("h.yaml", []byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	if text == "" {
		list = []*proto.Control{{Kind: proto.ControlContext, Context: &proto.HospitalContext{}}}
	}
	for _, c := range list {
		if err := w.local.Control(c); err != nil {
			w.t.Fatal(err)
		}
	}
}

func where(d *proto.Device) string {
	if d.Place == nil {
		return "-"
	}
	return strings.TrimSpace(d.Place.Path() + " " + d.Place.Source)
}

func TestPlace(t *testing.T) {
	for name, c := range map[string]struct {
		say  func(w *ward)
		want string
	}{
		"subnet": {func(w *ward) { w.item(proto.Item{Observation: seen("hl7", "oru_r01", 1, noon)}) }, "Main subnet"},
		"VLAN of its frames": {func(w *ward) {
			f := tcp(1, 2, 80, noon)
			f.VLAN = 30
			w.flow(f)
		}, "Main / 3 / ICU subnet"},
		"switch port": {func(w *ward) {
			w.item(proto.Item{Observation: seen("radius", "station", 1, noon, "nas_identifier", "sw-3", "switch_port", "Gi1")})
		}, "Main / 3 / ICU / A switch_port"},
		"circuit": {func(w *ward) {
			w.item(proto.Item{Observation: seen("dhcp", "request", 1, noon, "remote_id", "00-1b", "circuit_id", "7")})
		}, "Main / 3 / ICU / B switch_port"},
		"circuit as a text": {func(w *ward) {
			w.item(proto.Item{Observation: seen("dhcp", "request", 1, noon, "circuit_id", "cabinet")})
		}, "Main / 3 / ICU / A dhcp"},
		"access point": {func(w *ward) {
			w.item(proto.Item{Observation: seen("radius", "station", 1, noon, "access_point", "ap-9", "ssid", "s")})
		}, "Main / 3 / ICU access_point"},
		"roaming": {func(w *ward) {
			w.item(proto.Item{Observation: seen("radius", "station", 1, noon, "access_point", "ap-9", "ssid", "s")})
			w.item(proto.Item{Observation: seen("radius", "station", 1, noon.Add(time.Minute), "nas_identifier", "sw-3", "switch_port", "Gi1")})
		}, "Main / 3 / ICU / A switch_port"},
		"a protocol's text": {func(w *ward) {
			w.item(proto.Item{Observation: seen("hl7", "oru_r01", 1, noon, "location", "Bay 7")})
		}, "Main / 3 / ICU hl7"},
	} {
		w := newWard(t)
		w.hospital(hospitalText)
		c.say(w)
		w.beat(noon.Add(time.Hour), true)
		d := w.devices[id(1)]
		if got := where(d); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if b := w.bindings[id(1)]; d.Location == nil || b.Location != d.Location.Value {
			t.Errorf("%s: location %v, in the binding %q", name, d.Location, b.Location)
		}
	}
}

// Known devices are looked at again when the file changes, and told where that makes
// a difference.
func TestContextReevaluates(t *testing.T) {
	w := newWard(t)
	deaths := w.deaths(t)
	ct := ctSeen(w)
	w.item(proto.Item{Observation: seen("hl7", "oru_r01", 2, noon)})
	w.beat(noon.Add(time.Hour), true)
	before := *w.devices[ct]
	if before.Place != nil || before.Asset != nil || before.EndOfSupport != nil {
		t.Fatalf("without a file: %+v, %+v, %+v", before.Place, before.Asset, before.EndOfSupport)
	}
	w.hospital(hospitalText)
	d := w.devices[ct]
	if where(d) != "Main subnet" || d.Asset == nil || d.Asset.AssetTag != "A1" || d.Asset.MatchedBy != "serial" || d.EndOfSupport == nil || d.EndOfSupport.Date != "2030-01-01" || d.Version != before.Version+1 {
		t.Errorf("with a file: %s, %+v, %+v, version %d after %d", where(d), d.Asset, d.EndOfSupport, d.Version, before.Version)
	}
	w.hospital(hospitalText)
	w.hospital(hospitalText + "# only a remark\n")
	if w.devices[ct].Version != d.Version {
		t.Errorf("told again, though nothing has changed for it")
	}
	w.hospital("sites: [{site: st-alban, bildings: []}]")
	if got := fmt.Sprint(deaths()); !strings.Contains(got, `h.yaml:1: unknown key`) || where(w.devices[ct]) != "Main subnet" {
		t.Errorf("a bad file: %s, %s", got, where(w.devices[ct]))
	}
	m := &editor{}
	w.edit(m.set(ct, "room", "B"), m.set(ct, "owner", "ICU"), m.set(ct, "warranty_end", "2029-01-01"), m.set(ct, "end_of_support", "2031-01-01"))
	d = w.devices[ct]
	if where(d) != "Main / 3 / ICU / B human" || d.Asset.Owner != "ICU" || d.Asset.WarrantyEnd != "2029-01-01" || !slices.Equal(d.Asset.Human, []string{"owner", "warranty_end"}) ||
		fmt.Sprint(d.Asset.Conflicts) != "[{owner Radiology ICU}]" || d.EndOfSupport.Date != "2031-01-01" || d.EndOfSupport.Source != "human" {
		t.Errorf("a person: %s, %+v, %+v", where(d), d.Asset, d.EndOfSupport)
	}
	w.hospital("")
	if d = w.devices[ct]; where(d) != "B human" || d.Asset.Owner != "ICU" || d.Asset.AssetTag != "" {
		t.Errorf("taken away: %s, %+v", where(d), d.Asset)
	}
}

// A large file comes in parts, and is in force with the last.
func TestContextInParts(t *testing.T) {
	var b strings.Builder
	b.WriteString(hospitalText)
	for i := range 8_000 {
		h := func(what string) string { return proto.HashID(what, fmt.Append(nil, i)).String() }
		fmt.Fprintf(&b, "  - {asset: X%d, serial: s%s%s, owner: o%s%s}\n", i, h("a"), h("b"), h("c"), h("d"))
	}
	text := strings.Replace(b.String(), "roster: [{asset: A1, serial: \"104722\", owner: Radiology, purchase_cost: 10.00 EUR, maintenance_due: 2027-01-01}]\n", "roster:\n  - {asset: A1, serial: \"104722\"}\n", 1)
	list, err := ContextEvents("h.yaml", []byte(text))
	if err != nil || len(list) < 2 {
		t.Fatalf("%d parts, %v", len(list), err)
	}
	w := newWard(t)
	ct := ctSeen(w)
	w.beat(noon.Add(time.Hour), true)
	for i, c := range list {
		if v, err := json.Marshal(c); err != nil || len(v) > 1<<20 {
			t.Errorf("part %d has %d bytes, %v", i, len(v), err)
		}
		if w.devices[ct].Asset != nil {
			t.Errorf("in force before part %d", i)
		}
		if err := w.local.Control(c); err != nil {
			t.Fatal(err)
		}
	}
	if a := w.devices[ct].Asset; a == nil || a.AssetTag != "A1" {
		t.Errorf("asset %+v", a)
	}
}

// The file in force survives a restart, as does its sweep; each partition has it, and
// only devices of which it makes something else are told.
func TestContextSurvivesARestart(t *testing.T) {
	j := newJudges(t, 2, Config{})
	for i := range 20 {
		j.summary(i%2, summaryFor(i, "Model"))
	}
	say := func(text string) {
		list, err := ContextEvents("h.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			value, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			for i := range j.parts {
				j.offer(i, proto.TopicControl, proto.KindControl, value)
			}
		}
	}
	state := func(step string, told, tagged int) {
		t.Helper()
		before, n := j.told[0]+j.told[1], 0
		for i := range j.parts {
			j.work(i, 3, 0)
			for _, d := range j.devices[i] {
				if d.Asset != nil {
					n++
				}
			}
		}
		if got := j.told[0] + j.told[1] - before; got != told || n != tagged {
			t.Errorf("%s: %d devices told, want %d; %d assets, want %d", step, got, told, n, tagged)
		}
	}
	state("summaries", 20, 0)
	two := "roster: [{asset: A, serial: \"100003\"}, {asset: B, serial: \"100004\"}]\n"
	say(two)
	state("in force", 2, 2)
	j.restart(Config{})
	state("restarted", 0, 2)
	for _, i := range []int{4, 5} {
		s := summaryFor(i, "Model")
		s.Version = 2
		j.summary(i%2, s)
	}
	state("after a restart", 2, 2)
	say(two + "# again\n")
	state("another text of the same", 0, 2)
	say(strings.Replace(two, "asset: B", "asset: C", 1))
	j.work(0, 3, 1) // half of it is done when the program ends
	j.work(1, 3, 1)
	told := j.told[0] + j.told[1]
	j.restart(Config{})
	state("ended half way", 25-told, 2)
	for i := range j.devices {
		if d := j.devices[i][summaryFor(4, "").Endpoint]; d != nil && d.Asset.AssetTag != "C" {
			t.Errorf("asset %+v", d.Asset)
		}
	}
	if len(j.dead) > 0 {
		t.Errorf("dead letters %q", j.dead)
	}
}
