package fingerprint

import (
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// ward drives the two folds in memory and keeps what they emit.
type ward struct {
	t        testing.TB
	local    *stream.Local
	batch    proto.Batch
	devices  map[proto.ID]*proto.Device
	bindings map[proto.ID]*proto.Binding
	summary  map[proto.ID]*proto.Summary
	told     int // summaries
	pairs    map[proto.Pair]proto.Pair
	activity map[proto.Activity]proto.Activity
	rows     int
}

func newWard(t testing.TB) *ward {
	w := &ward{
		t: t, batch: proto.Batch{Site: "st-alban", Sensor: "tap", Producer: "p", Domain: "file"},
		devices: map[proto.ID]*proto.Device{}, bindings: map[proto.ID]*proto.Binding{}, summary: map[proto.ID]*proto.Summary{},
		pairs: map[proto.Pair]proto.Pair{}, activity: map[proto.Activity]proto.Activity{},
	}
	l, err := stream.NewLocal(w.take, NewEndpoint(Config{}), NewDevice(Config{}))
	if err != nil {
		t.Fatal(err)
	}
	w.local = l
	return w
}

func (w *ward) take(e stream.Emitted) {
	var err error
	switch e.Kind {
	case proto.KindSummary:
		s := new(proto.Summary)
		err = proto.Unmarshal(e.Value, s)
		w.summary[s.Endpoint] = s
		w.told++
	case proto.KindDevice:
		d := new(proto.Device)
		err = json.Unmarshal(e.Value, d)
		w.devices[d.DeviceID] = d
	case proto.KindBinding:
		b := new(proto.Binding)
		err = proto.Unmarshal(e.Value, b)
		w.bindings[b.Endpoint] = b
		if e.Lane != b.Endpoint.Lane() {
			w.t.Errorf("binding of %s on lane %d", b.Endpoint, e.Lane)
		}
	case proto.KindRollup:
		var b proto.RollupBatch
		err = proto.Unmarshal(e.Value, &b)
		for _, r := range b.Rows {
			w.row(r)
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// row keeps the latest row of a key, as the store does.
func (w *ward) row(r proto.Rollup) {
	w.rows++
	if p := r.Pair; p != nil {
		key := *p
		key.Flows, key.SrcPackets, key.SrcBytes, key.DstPackets, key.DstBytes, key.First, key.Last = 0, 0, 0, 0, 0, 0, 0
		w.pairs[key] = *p
	}
	if a := r.Activity; a != nil {
		w.activity[proto.Activity{Site: a.Site, Hour: a.Hour, Endpoint: a.Endpoint}] = *a
	}
}

func (w *ward) item(it proto.Item) {
	if err := w.local.Item(&w.batch, it); err != nil {
		w.t.Fatal(err)
	}
}

func (w *ward) beat(t proto.Time, end bool) {
	w.item(proto.Item{Heartbeat: &proto.Heartbeat{Clock: t, End: end}})
}

// flow sends a flow to the lanes that capture would.
func (w *ward) flow(f *proto.Flow) {
	w.item(proto.Item{Flow: f})
	if !f.SrcEndpoint.IsZero() && !f.DstEndpoint.IsZero() {
		w.item(proto.Item{Flow: f, Mirror: true})
	}
}

var noon = proto.TimeOf(time.Date(2026, 11, 17, 12, 0, 0, 0, time.UTC))

func mac(last byte) proto.MAC { return proto.MAC{0x00, 0x30, 0xe6, 1, 2, last} }

func id(last byte) proto.ID { return proto.MACEndpoint("st-alban", mac(last)) }

func tcp(src, dst byte, port uint16, at proto.Time) *proto.Flow {
	return &proto.Flow{
		Site: "st-alban", Start: at, End: at.Add(time.Second), Transport: proto.TCP, State: "SF", Protocol: "unknown", Final: true,
		SrcIP: netip.AddrFrom4([4]byte{10, 0, 0, src}), SrcPort: 40000, SrcMAC: mac(src), SrcEndpoint: id(src), SrcInside: true,
		DstIP: netip.AddrFrom4([4]byte{10, 0, 0, dst}), DstPort: port, DstMAC: mac(dst), DstEndpoint: id(dst), DstInside: true,
		SrcPackets: 5, SrcBytes: 500, SrcPayloadBytes: 200, DstPackets: 4, DstBytes: 4000, DstPayloadBytes: 3800,
	}
}

func seen(protocol, kind string, who byte, at proto.Time, attributes ...string) *proto.Observation {
	o := &proto.Observation{Site: "st-alban", Time: at, Protocol: protocol, Kind: kind, Endpoint: id(who), MAC: mac(who), IP: netip.AddrFrom4([4]byte{10, 0, 0, who})}
	for i := 0; i < len(attributes); i += 2 {
		o.Attributes.Set(attributes[i], attributes[i+1])
	}
	return o
}

// TestTotalsAgree: at the end of a file the rollups equal the raw flow rows, per
// hour and in all, however late a flow comes.
func TestTotalsAgree(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWard(t)
		var packets, bytes, flows uint64
		perEndpoint := map[proto.ID]uint64{}
		at := noon
		n := rapid.IntRange(1, 60).Draw(r, "flows")
		for range n {
			at = at.Add(time.Duration(rapid.IntRange(0, 2400).Draw(r, "step")) * time.Second)
			f := tcp(byte(rapid.IntRange(1, 3).Draw(r, "src")), byte(rapid.IntRange(4, 5).Draw(r, "dst")), uint16(rapid.IntRange(80, 82).Draw(r, "port")), at)
			f.Part = uint32(rapid.IntRange(0, 1).Draw(r, "part"))
			f.SrcBytes = uint64(rapid.IntRange(0, 9999).Draw(r, "bytes"))
			late := time.Duration(rapid.IntRange(0, 5*3600).Draw(r, "late")) * time.Second
			f.Start, f.End = f.Start.Add(-late), f.End.Add(-late)
			if rapid.Bool().Draw(r, "outside") {
				f.DstEndpoint, f.DstInside = proto.ID{}, false
			}
			packets += f.SrcPackets + f.DstPackets
			bytes += f.SrcBytes + f.DstBytes
			if f.Part == 0 {
				flows++
			}
			perEndpoint[f.SrcEndpoint] += f.SrcBytes
			if !f.DstEndpoint.IsZero() {
				perEndpoint[f.DstEndpoint] += f.DstBytes
			}
			w.flow(f)
			w.beat(at, false)
		}
		w.beat(at.Add(time.Second), true)
		var gotPackets, gotBytes, gotFlows uint64
		for _, p := range w.pairs {
			gotPackets += p.SrcPackets + p.DstPackets
			gotBytes += p.SrcBytes + p.DstBytes
			gotFlows += p.Flows
		}
		if gotPackets != packets || gotBytes != bytes || gotFlows != flows {
			r.Fatalf("pairs: %d packets %d bytes %d flows, want %d, %d, %d", gotPackets, gotBytes, gotFlows, packets, bytes, flows)
		}
		got := map[proto.ID]uint64{}
		for _, a := range w.activity {
			got[a.Endpoint] += a.BytesOut
		}
		for e, n := range perEndpoint {
			if got[e] != n {
				r.Fatalf("activity of %s: %d bytes out, want %d", e, got[e], n)
			}
		}
	})
}

// TestHoursEnd: without an end of file, the clean timer tells all and lets old
// hours go.
func TestHoursEnd(t *testing.T) {
	w := newWard(t)
	for i := range 10 {
		w.flow(tcp(1, 2, uint16(80+i), noon.Add(time.Duration(i)*time.Minute)))
	}
	for at := noon; at < noon.Add(5*time.Hour); at = at.Add(time.Minute) {
		w.beat(at, false)
	}
	var n uint64
	for _, p := range w.pairs {
		n += p.SrcPackets
	}
	if n != 50 || len(w.pairs) != 10 {
		t.Errorf("%d packets in %d pairs, want 50 in 10", n, len(w.pairs))
	}
	before := w.rows
	w.beat(noon.Add(30*time.Hour), false)
	if w.rows != before {
		t.Errorf("%d rows told after all was told", w.rows-before)
	}
	late := tcp(1, 2, 80, noon) // its hour is long over: it must not begin anew and replace the row
	w.flow(late)
	w.beat(noon.Add(31*time.Hour), true)
	n = 0
	for _, p := range w.pairs {
		n += p.SrcPackets
	}
	if n != 55 {
		t.Errorf("%d packets with the late flow, want 55", n)
	}
}

func TestScanOfPortsCostsBoundedRows(t *testing.T) {
	w := newWard(t)
	for port := range 5000 {
		w.flow(tcp(1, 2, uint16(1+port), noon))
	}
	w.beat(noon.Add(time.Second), true)
	if len(w.pairs) != maxPairs+1 {
		t.Errorf("%d pairs, want %d and one for the rest", len(w.pairs), maxPairs)
	}
	var n uint64
	for _, p := range w.pairs {
		n += p.Flows
	}
	if n != 5000 {
		t.Errorf("%d flows in the rollups, want 5000", n)
	}
}

// TestTenantsStayApart: a laptop takes the address that an ultrasound had, and
// the ultrasound comes back with another.
func TestTenantsStayApart(t *testing.T) {
	w := newWard(t)
	ip := netip.AddrFrom4([4]byte{10, 0, 0, 141})
	use := func(who byte, a netip.Addr, at proto.Time) {
		f := tcp(who, 2, 80, at)
		f.SrcIP = a
		w.flow(f)
	}
	other := netip.AddrFrom4([4]byte{10, 0, 0, 167})
	use(1, ip, noon)
	use(1, ip, noon.Add(30*time.Minute))
	use(1, other, noon.Add(2*time.Hour))
	use(7, ip, noon.Add(3*time.Hour))
	use(1, ip, noon.Add(5*time.Hour)) // and once more
	w.beat(noon.Add(6*time.Hour), true)
	us, lt := w.devices[id(1)], w.devices[id(7)]
	if got, want := us.IPs, (proto.Strings{"10.0.0.141", "10.0.0.167"}); !slices.Equal(got, want) {
		t.Errorf("ultrasound has %v, want %v", got, want)
	}
	if got, want := lt.IPs, (proto.Strings{"10.0.0.141"}); !slices.Equal(got, want) {
		t.Errorf("laptop has %v, want %v", got, want)
	}
	var epochs []string
	for _, e := range us.Evidence {
		if e.Attribute == "ip" && e.Value == "10.0.0.141" {
			epochs = append(epochs, e.First.Std().Format("15:04")+"-"+e.Last.Std().Format("15:04"))
		}
	}
	if want := []string{"12:00-12:30", "17:00-17:00"}; !slices.Equal(epochs, want) {
		t.Errorf("epochs of the ultrasound's first address: %v, want %v", epochs, want)
	}
}

func TestSilentAddressIsNoDevice(t *testing.T) {
	w := newWard(t)
	f := tcp(1, 9, 80, noon)
	f.State, f.DstPackets, f.DstBytes, f.DstPayloadBytes = "S0", 0, 0, 0
	w.flow(f)
	w.beat(noon.Add(time.Minute), true)
	if w.devices[id(9)] != nil || w.devices[id(1)] == nil {
		t.Errorf("devices: %v; want the sender and not the address that never answered", w.devices)
	}
}

func TestLastSeenIsFinalAtTheEnd(t *testing.T) {
	w := newWard(t)
	w.item(proto.Item{Observation: seen("arp", "request", 1, noon, "sender_ip", "10.0.0.1")})
	if w.devices[id(1)] == nil {
		t.Fatal("ARP alone must make a device, at once")
	}
	w.item(proto.Item{Observation: seen("arp", "request", 1, noon.Add(time.Minute), "sender_ip", "10.0.0.1")})
	w.beat(noon.Add(2*time.Minute), true)
	if got, want := w.devices[id(1)].LastSeen, noon.Add(time.Minute); got != want {
		t.Errorf("last seen %s, want %s", got, want)
	}
	if v := w.devices[id(1)].Manufacturer; v == nil || v.Value != "Draeger Medical Systems" || v.Confidence != weightOUI {
		t.Errorf("manufacturer %+v", v)
	}
}

func TestFloodOfNamesIsBounded(t *testing.T) {
	w := newWard(t)
	for i := range 1000 {
		w.item(proto.Item{Observation: seen("dhcp", "request", 1, noon.Add(time.Duration(i)*time.Millisecond), "hostname", "h"+time.Duration(i).String(), "vendor_class", string(rune('a'+i%26))+"\x00x")})
	}
	w.beat(noon.Add(time.Minute), true)
	if w.told > 3 { // the first, those of the next seconds together, the end
		t.Errorf("%d summaries of a flood within a second, want at most 3", w.told)
	}
	s := w.summary[id(1)]
	if len(s.Hostnames) > maxValues || len(s.Evidence) > maxEvidence+maxAddresses {
		t.Errorf("%d names, %d pieces of evidence", len(s.Hostnames), len(s.Evidence))
	}
	if !slices.Contains(s.Hostnames, "h999ns") {
		t.Errorf("the latest name is not kept: %v", s.Hostnames)
	}
}

// TestArchiveIsNotTheScanner: a PACS forwards a CT's images with the CT's tags.
func TestArchiveIsNotTheScanner(t *testing.T) {
	w := newWard(t)
	tags := []string{"role", "scu", "calling_ae", "X", "manufacturer", "SIEMENS", "model", "SOMATOM go.Up", "serial", "104722", "modality", "CT"}
	w.item(proto.Item{Observation: seen("dicom", "c_store", 1, noon, tags...)})
	ct := w.devices[id(1)]
	if ct.Type == nil || ct.Type.Value != "ct" || ct.Model.Value != "SOMATOM go.Up" || ct.Category.Value != "medical" {
		t.Errorf("the CT is %+v %+v", ct.Type, ct.Model)
	}
	assoc := seen("dicom", "associate_ac", 2, noon, "role", "scp", "called_ae", "PACS")
	assoc.Attributes.SetList("abstract_syntaxes", []string{"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.2.2.1"})
	w.item(proto.Item{Observation: assoc})
	w.item(proto.Item{Observation: seen("dicom", "c_store", 2, noon, tags...)})
	pacs := w.devices[id(2)]
	if pacs.Type == nil || pacs.Type.Value != "pacs" || pacs.Model != nil {
		t.Errorf("the archive is %+v, model %+v", pacs.Type, pacs.Model)
	}
}

// TestNestedPump: a pump that exists only behind its gateway.
func TestNestedPump(t *testing.T) {
	w := newWard(t)
	pump := proto.EquipmentEndpoint("st-alban", "13877029^ALARIS-W3^^L")
	o := seen("hl7", "equipment", 1, noon, "equipment_id", "13877029^ALARIS-W3^^L", "manufacturer", "BD (CareFusion)", "model", "8015 PCU", "serial", "13877029")
	o.Endpoint, o.MAC, o.IP, o.Gateway = pump, proto.MAC{}, netip.Addr{}, id(1)
	w.item(proto.Item{Observation: o})
	d := w.devices[pump]
	if d == nil || d.Gateway != id(1) || d.Type == nil || d.Type.Value != "infusion_pump" || d.Serial.Value != "13877029" {
		t.Fatalf("nested pump: %+v", d)
	}
	if b := w.bindings[pump]; b.Criticality != "life_sustaining" || b.Gateway != id(1) {
		t.Errorf("binding %+v", b)
	}
}

func TestGroupIsOneDevice(t *testing.T) {
	var out []stream.Emitted
	l, err := stream.OpenPartition(NewDevice(Config{}), 0, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []proto.Summary{
		{Endpoint: id(1), Group: id(1), Site: "st-alban", FirstSeen: noon, LastSeen: noon, Version: 1, Hostnames: []string{"a"}},
		{Endpoint: id(2), Group: id(1), Site: "st-alban", FirstSeen: noon.Add(time.Hour), LastSeen: noon.Add(time.Hour), Version: 1, Hostnames: []string{"b"}},
	} {
		val, err := proto.Marshal(&s)
		if err != nil {
			t.Fatal(err)
		}
		env := proto.Envelope{Schema: 1, Kind: proto.KindSummary, Producer: "endpoint/0", Seq: uint64(i + 1)}
		head, err := env.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		l.Offer(stream.Record{Topic: proto.TopicSummaries, Offset: int64(i), Envelope: head, Value: val})
	}
	for l.Run(100, 1, time.Time{}) > 0 {
	}
	out = l.TakeOutputs()
	var last proto.Device
	bound := map[proto.ID]proto.ID{}
	for _, e := range out {
		switch e.Kind {
		case proto.KindDevice:
			if err := json.Unmarshal(e.Value, &last); err != nil {
				t.Fatal(err)
			}
		case proto.KindBinding:
			var b proto.Binding
			if err := proto.Unmarshal(e.Value, &b); err != nil {
				t.Fatal(err)
			}
			bound[b.Endpoint] = b.Device
		}
	}
	if last.DeviceID != id(1) || !slices.Equal(last.Aliases, proto.IDs{id(2)}) || last.FirstSeen != noon || last.LastSeen != noon.Add(time.Hour) {
		t.Errorf("device %+v", last)
	}
	if bound[id(1)] != id(1) || bound[id(2)] != id(1) {
		t.Errorf("bindings %v", bound)
	}
}

func drawVotes(r *rapid.T) []Vote {
	return rapid.SliceOfN(rapid.Custom(func(r *rapid.T) Vote {
		v := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "value")
		return Vote{Value: v, Key: v, Protocol: rapid.SampledFrom([]string{"p", "q", "r"}).Draw(r, "protocol"), Weight: rapid.Float64Range(0.01, 0.99).Draw(r, "weight")}
	}), 1, 12).Draw(r, "votes")
}

func TestFuseProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		votes := drawVotes(r)
		f := Fuse(votes)
		shuffled := rapid.Permutation(votes).Draw(r, "order")
		g := Fuse(shuffled)
		if (f == nil) != (g == nil) || (f != nil && (f.Value != g.Value || f.Confidence != g.Confidence)) {
			r.Fatalf("order matters: %+v, %+v", f, g)
		}
		if f == nil {
			return
		}
		if f.Confidence < MinConfidence || f.Confidence > 1 {
			r.Fatalf("confidence %v", f.Confidence)
		}
		agree := Fuse(append(slices.Clone(votes), Vote{Value: f.Value, Key: f.Value, Protocol: "new", Weight: 0.5}))
		if agree == nil || agree.Value != f.Value || agree.Confidence < f.Confidence-1e-4 {
			r.Fatalf("agreement lowers %+v to %+v", f, agree)
		}
		against := Fuse(append(slices.Clone(votes), Vote{Value: "other", Key: "other", Protocol: "new", Weight: 0.1}))
		if against != nil && against.Value == f.Value && against.Confidence > f.Confidence+1e-4 {
			r.Fatalf("contradiction raises %+v to %+v", f, against)
		}
	})
}

func TestFuseFormula(t *testing.T) {
	one := Fuse([]Vote{{Value: "x", Key: "x", Protocol: "p", Weight: 0.5}})
	if one.Confidence != 0.5 {
		t.Errorf("one reason of 0.5 gives %v", one.Confidence)
	}
	same := Fuse([]Vote{{Value: "x", Key: "x", Protocol: "p", Weight: 0.5}, {Value: "x", Key: "x", Protocol: "p", Weight: 0.4}})
	if same.Confidence != 0.5 {
		t.Errorf("one protocol twice gives %v", same.Confidence)
	}
	two := Fuse([]Vote{{Value: "x", Key: "x", Protocol: "p", Weight: 0.5}, {Value: "X", Key: "x", Protocol: "q", Weight: 0.6}})
	if two.Confidence != 0.8 || two.Value != "X" {
		t.Errorf("two protocols give %+v", two)
	}
	split := Fuse([]Vote{{Value: "x", Key: "x", Protocol: "p", Weight: 0.8}, {Value: "y", Key: "y", Protocol: "q", Weight: 0.5}})
	want := 0.8 * 0.5 / (0.8*0.5 + 0.5*0.2 + 0.2*0.5)
	if math.Abs(split.Confidence-want) > 1e-4 || split.Value != "x" {
		t.Errorf("contradiction gives %+v, want %v", split, want)
	}
}

// vocabulary is the list of types of the design, by category.
var vocabulary = map[string]string{
	"medical": `infusion_pump pump_gateway patient_monitor central_station telemetry ventilator anesthesia_machine defibrillator ecg
		fetal_monitor dialysis incubator ct mri xray mammography angiography nuclear_medicine ultrasound endoscopy linac pacs ris
		imaging_workstation integration_engine lab_analyzer poc_analyzer lab_information_system medication_cabinet
		clinical_information_system nurse_call medical_gateway`,
	"ot":      "building_controller building_server medical_gas_alarm plc hmi ups pneumatic_tube access_control fire_panel elevator",
	"iot":     "printer ip_camera voip_phone badge_reader smart_plug lighting sensor smart_hub scale appliance media_player",
	"it":      "workstation laptop server mobile storage virtual_machine",
	"network": "switch router firewall access_point wlan_controller",
}

func TestSignatures(t *testing.T) {
	s, err := loadSignatures()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for category, types := range vocabulary {
		for _, name := range fields(types) {
			n++
			if s.category[name] != category {
				t.Errorf("type %s is in category %q, want %q", name, s.category[name], category)
			}
			if !slices.Contains([]string{"low", "medium", "high", "life_sustaining"}, s.criticality[name]) {
				t.Errorf("type %s has criticality %q", name, s.criticality[name])
			}
		}
	}
	if n != len(s.category) {
		t.Errorf("%d types, the vocabulary has %d", len(s.category), n)
	}
	for evidence, says := range map[[2]string][2]string{
		{"dhcp_vendor_class", "MSFT 5.0"}:                                  {"os", "Windows"},
		{"dhcp_vendor_class", "android-dhcp-14"}:                           {"os_version", "14"},
		{"dhcp_parameter_list", "1,3,6,15,31,33,43,44,46,47,121,249,252"}:  {"os", "Windows"},
		{"dicom_modality", "MR"}:                                           {"type", "mri"},
		{"equipment_type", "69985^MDC_DEV_PUMP_INFUS_LVP_MDS^MDC"}:         {"type", "infusion_pump"},
		{"equipment_type", "69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC"}: {"type", "patient_monitor"},
		{"software_product", "Alaris Systems Manager"}:                     {"type", "pump_gateway"},
		{"model", "8015 PCU"}:                                              {"type", "infusion_pump"},
		{"model", "Infinity M540"}:                                         {"type", "patient_monitor"},
		{"dicom_implementation_uid", "1.3.46.670589.1"}:                    {"manufacturer", "Philips"},
		{"hostname", "LT-VISIT-22"}:                                        {"type", "laptop"},
	} {
		v := proto.Evidence{Attribute: evidence[0], Value: evidence[1], Protocol: "x", Weight: 0.9}
		got := s.facts([]proto.Evidence{v})[says[0]]
		if got == nil || got.Value != says[1] {
			t.Errorf("%v says %+v, want %v", evidence, got, says)
		}
	}
	for _, name := range []string{"SIEMENS", "Siemens AG", "Siemens Healthcare Diagnostics"} {
		if s.makerKey(name) != "siemens healthineers" {
			t.Errorf("%s is %s", name, s.makerKey(name))
		}
	}
}

func fields(s string) []string { return strings.Fields(s) }
