package behaviour

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// TestOrderDoesNotMatter: the same events in any order give the same bytes.
func TestOrderDoesNotMatter(t *testing.T) {
	events := func(s *Sketch) []func() {
		var list []func()
		for i := range 40 {
			at := time.Duration(i*i) * 150 * time.Millisecond
			list = append(list,
				func() { s.Observe(saw(unit(1), at, "mdns", fmt.Sprint("kind", i%7), "model", fmt.Sprint("m", i%5))) },
				func() { s.Flow(flowTo(at, uint16(80+i%9), uint64(100+i)), i%3 == 0) })
		}
		return list
	}
	var want []byte
	for seed := range uint64(20) {
		var s Sketch
		list := events(&s)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
		for _, f := range list {
			f()
		}
		got := s.AppendTo(nil)
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("order %d gives another sketch", seed)
		}
	}
}

func TestSketchIsBounded(t *testing.T) {
	var s Sketch
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 5000 {
		at := time.Duration(i) * 100 * time.Millisecond
		s.Observe(saw(unit(1), at, "dns", fmt.Sprint("kind", r.IntN(900)), "domain", fmt.Sprintf("d%c%c.org", 'a'+r.IntN(26), 'a'+r.IntN(26))))
		f := flowTo(at, uint16(r.IntN(65535)), uint64(r.IntN(1<<30)))
		s.Flow(f, false)
	}
	if n := len(s.AppendTo(nil)); n > 2048 {
		t.Errorf("a noisy device costs %d bytes", n)
	}
	var back Sketch
	if err := back.Parse(s.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.AppendTo(nil), s.AppendTo(nil)) {
		t.Error("what is read back is not what was written")
	}
}

func TestWindow(t *testing.T) {
	var s Sketch
	if !s.Observe(saw(unit(1), 0, "arp", "request")) {
		t.Fatal("the first sign does not count")
	}
	for at, want := range map[time.Duration]bool{Window: true, Window + time.Millisecond: false, 24 * time.Hour: false} {
		if got := s.Observe(saw(unit(1), at, "arp", "request")); got != want {
			t.Errorf("after %s: counted %v, want %v", at, got, want)
		}
	}
}

// TestSaidByOthers: what is said about a device is none of its behaviour.
func TestSaidByOthers(t *testing.T) {
	var s Sketch
	offer := saw(unit(1), 0, "dhcp", "offer")
	behind := saw(unit(1), 0, "hl7", "oru_r01")
	behind.Gateway = proto.ID{1}
	scanned := flowTo(0, 22, 0)
	scanned.DstPackets = 0
	if s.Observe(offer) || s.Observe(behind) || s.Flow(scanned, true) || !s.Empty() {
		t.Errorf("sketch of what others did: %+v", s)
	}
}

// TestUnitsAreNotNamed: addresses, MACs and serial numbers leave no trace.
func TestUnitsAreNotNamed(t *testing.T) {
	mac := proto.MAC{0x5c, 0xcf, 0x7f, 0x07, 0xae, 0xfb}
	for in, want := range map[string]string{
		"ESP_07AEFB": "esp_*", "dchaefb.local": "dch*", "HS110(EU)": "hs110(eu)", "Philips-hue": "philips-hue",
		"10.10.10.7": "", "http://10.10.10.7:80/x": "", "fe80::1": "", "[fe80::1]:80": "", "5CCF7F07AEFB": "",
		"Socket-1_0-221517K0101769": "socket-1_0-*k*", "2f402f80-da50-11e1-9b23-0017882476ff": "*-da50-11e1-9b23-*",
		"udhcp 1.21.1--LSDK-10.2-00082-4": "udhcp 1.21.1--lsdk-10.2-00082-4", "Linux/3.14.0 UPnP/1.0 IpBridge/1.9.0": "linux/3.14.0 upnp/1.0 ipbridge/1.9.0",
	} {
		if got := general(in, mac); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestFlowKinds(t *testing.T) {
	late := flowTo(0, 51067, 10) // the capture began inside: the server's packet came first
	late.SrcPort, late.State = 9292, "OTH"
	late.SrcIP, late.DstIP, late.SrcInside, late.DstInside = late.DstIP, late.SrcIP, false, true
	chosen := flowTo(0, 35681, 58)
	chosen.SrcPort, chosen.Transport, chosen.Protocol, chosen.DstIP = 35681, proto.UDP, "unknown", netip.MustParseAddr("255.255.255.255")
	for name, c := range map[string]struct {
		f        *proto.Flow
		asServer bool
		want     string
	}{
		"client": {flowTo(0, 443, 1), false, "flow tcp/443 to outside"}, "turned": {late, true, "flow tcp/9292 to outside"},
		"chosen": {chosen, false, "flow udp/same to all"}, "server": {flowTo(0, 80, 1), true, "flow tcp/80 from inside"},
	} {
		s := NewSketch()
		s.Flow(c.f, c.asServer)
		if len(s.marks) != 1 || s.names[s.marks[0].key] != c.want {
			t.Errorf("%s: %v, want %s", name, s.names, c.want)
		}
	}
}

func FuzzSketch(f *testing.F) {
	for _, x := range households(1, 1) {
		f.Add(x.Sketch.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Sketch
		if s.Parse(b) != nil {
			return
		}
		Embedded().Decide(&Sample{Sketch: s})
	})
}
