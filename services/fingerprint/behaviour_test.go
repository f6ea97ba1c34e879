package fingerprint

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint/behaviour"
)

// hue is a bridge as the model knows it, by what it announces; from is its start.
func hue(who byte, from proto.Time) []proto.Item {
	var list []proto.Item
	say := func(after time.Duration, protocol, kind string, attributes ...string) {
		list = append(list, proto.Item{Observation: seen(protocol, kind, who, from.Add(after), attributes...)})
	}
	say(0, "dhcp", "discover", "hostname", "Philips-hue", "vendor_class", "udhcp 1.19.4", "parameter_list", "1,3,6,12,15,28,42")
	say(30*time.Millisecond, "dhcp", "request", "hostname", "Philips-hue", "vendor_class", "udhcp 1.19.4", "parameter_list", "1,3,6,12,15,28,42")
	say(200*time.Millisecond, "arp", "probe")
	say(time.Second, "arp", "announcement")
	for i := range 4 {
		after := time.Duration(i) * time.Second
		say(2*time.Second+after, "mdns", "query")
		say(2*time.Second+after, "mdns", "response", "service_types", "_hap._tcp")
		say(2*time.Second+after, "mdns", "name", "hostname", "philips-hue.local")
		say(2*time.Second+after, "mdns", "service", "service_type", "_hap._tcp", "model", "BSB002", "hap_category", "2", "hostname", "philips-hue.local")
		say(3*time.Second+after, "ssdp", "alive", "server", "Linux/3.14.0 UPnP/1.0 IpBridge/1.9.0", "device_type", "basic", "max_age_s", "100")
		say(4*time.Second+after, "dns", "query", "domain", "philips.com", "name_len", "25")
		say(5*time.Second+after, "ntp", "client", "ntp_version", "4")
		say(6*time.Second+after, "http", "request", "host", "www.ecdinterface.philips.com")
		say(6*time.Second+after, "http", "response")
		say(7*time.Second+after, "ndp", "probe")
	}
	for i, port := range []uint16{80, 443} {
		f := tcp(who, 2, port, from.Add(time.Duration(10+i)*time.Second))
		f.DstIP, f.DstInside, f.DstEndpoint = netip.MustParseAddr("203.0.113.8"), false, proto.ID{}
		list = append(list, proto.Item{Flow: f})
	}
	return list
}

// bridges is a model that knows two types: the bridge, and something that only asks
// for the time.
func bridges(t *testing.T) *behaviour.Model {
	t.Helper()
	var samples []*behaviour.Sample
	for i := range byte(6) {
		a, b := &behaviour.Sample{Label: "HueBridge", Sketch: behaviour.NewSketch()}, &behaviour.Sample{Label: "Clock", Sketch: behaviour.NewSketch()}
		for _, it := range hue(i, noon) {
			if it.Flow != nil {
				a.Sketch.Flow(it.Flow, false)
				continue
			}
			a.Sketch.Observe(it.Observation)
		}
		b.Sketch.Observe(seen("dhcp", "discover", i, noon, "hostname", "clock"))
		b.Sketch.Observe(seen("ntp", "client", i, noon.Add(time.Second), "ntp_version", "3"))
		samples = append(samples, a, b)
	}
	m, err := behaviour.Train(samples, behaviour.Options{Trees: 20, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestBehaviourIsToldOnce: after the window, with reasons; and what comes later
// changes nothing.
func TestBehaviourIsToldOnce(t *testing.T) {
	w := newWardWith(t, Config{Model: bridges(t)})
	for _, it := range hue(1, noon) {
		w.item(it)
	}
	w.beat(noon.Add(behaviour.Window), false)
	if b := w.devices[id(1)].Behaviour; b != nil {
		t.Fatalf("judged while it is new: %+v", b)
	}
	w.beat(noon.Add(behaviour.Window+flowsEnd+newsEvery+time.Second), false)
	first := w.devices[id(1)]
	b := first.Behaviour
	if b == nil || b.Label != "HueBridge" || b.Confidence < 0.5 || b.Confidence >= 1 || len(b.Features) == 0 {
		t.Fatalf("behaviour %+v", b)
	}
	if i := slices.IndexFunc(first.Evidence, func(e proto.Evidence) bool { return e.Attribute == "behaviour" }); i < 0 || first.Evidence[i].Weight != b.Confidence {
		t.Errorf("the judgement is not among the evidence: %v", first.Evidence)
	}
	for i := range 50 {
		w.flow(tcp(1, 3, uint16(1000+i), noon.Add(time.Hour+time.Duration(i)*time.Second)))
	}
	w.beat(noon.Add(3*time.Hour), true)
	if now := w.devices[id(1)].Behaviour; now == nil || now.Label != b.Label || !slices.Equal(now.Features, b.Features) {
		t.Errorf("an hour later %+v, was %+v", now, b)
	}
}

// TestStrangeBehaviourIsNotTold: a hospital's devices are of no type that the model
// knows, nor is whoever only answers.
func TestStrangeBehaviourIsNotTold(t *testing.T) {
	w := newWard(t)
	for i := range 20 {
		at := noon.Add(time.Duration(i) * 20 * time.Second)
		w.item(proto.Item{Observation: seen("hl7", "oru_r01", 1, at, "sending_application", "MONITOR")})
		w.flow(tcp(1, 2, 2575, at))
		w.item(proto.Item{Observation: seen("arp", "reply", 3, at, "sender_ip", "10.0.0.3")})
	}
	w.beat(noon.Add(time.Hour), true)
	for who := byte(1); who <= 3; who++ {
		if d := w.devices[id(who)]; d == nil || d.Behaviour != nil {
			t.Errorf("device %d: %+v", who, d)
		}
	}
}

// TestBehaviourVotes: it speaks for the type, and is silent where a protocol of care
// says what the device is.
func TestBehaviourVotes(t *testing.T) {
	judged := proto.Evidence{Attribute: attrBehaviour, Value: "D-LinkCam", Protocol: protocolBehaviour, Weight: 0.98, Count: 1}
	if f := embedded().facts([]proto.Evidence{judged}); f["type"] == nil || f["type"].Value != "ip_camera" || f["type"].Confidence > 0.5 {
		t.Errorf("type %+v, want ip_camera at no more than half", f["type"])
	}
	monitor := proto.Evidence{Attribute: "clinical_role", Value: "intellivue_monitor", Protocol: "intellivue", Weight: 0.9, Count: 1}
	alone := embedded().facts([]proto.Evidence{monitor})["type"]
	both := embedded().facts([]proto.Evidence{judged, monitor})["type"]
	if both == nil || both.Value != "patient_monitor" || both.Confidence != alone.Confidence {
		t.Errorf("with behaviour against it the monitor is %+v, alone %+v", both, alone)
	}
	for _, label := range behaviour.Embedded().Labels {
		if f := embedded().facts([]proto.Evidence{{Attribute: attrBehaviour, Value: label, Protocol: protocolBehaviour, Weight: 0.98, Count: 1}}); f["type"] == nil {
			t.Errorf("%s votes for no type", label)
		}
	}
}

// TestSketchCostsLittle: of a device that is known no row is left, of a new one at
// most a kilobyte or two, and of an address that never answered none.
func TestSketchCostsLittle(t *testing.T) {
	var h host
	h.fresh = freshOpen
	var back host
	if err := back.Parse(h.AppendTo(nil)); err != nil || back.fresh != freshOpen {
		t.Fatalf("stage %d, %v", back.fresh, err)
	}
	var told [2]string
	for order := range told {
		w := newWardWith(t, Config{Model: bridges(t)})
		items := hue(1, noon)
		if order == 1 {
			slices.Reverse(items)
		}
		for _, it := range items {
			w.item(it)
		}
		silent := tcp(1, 9, 80, noon)
		silent.DstPackets, silent.DstBytes, silent.DstPayloadBytes = 0, 0, 0
		w.flow(silent)
		w.beat(noon.Add(time.Hour), true)
		b, err := json.Marshal(w.devices[id(1)].Behaviour)
		if err != nil {
			t.Fatal(err)
		}
		told[order] = string(b)
	}
	if told[0] != told[1] || told[0] == "null" {
		t.Errorf("in order %s, in reverse %s", told[0], told[1])
	}
}
