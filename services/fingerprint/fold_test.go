package fingerprint

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

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
