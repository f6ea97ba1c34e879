package capture

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

func TestEndpointsOfFlows(t *testing.T) {
	byMAC := func(m proto.MAC) proto.ID { return proto.MACEndpoint(site, m) }
	byIP := func(a netip.Addr) proto.ID { return proto.IPEndpoint(site, 0, a) }
	tests := map[string]struct {
		play     func(b *bench)
		src, dst proto.ID
		srcIn    bool
		dstIn    bool
		mirror   bool
	}{
		"two on the segment": {
			play: func(b *bench) { b.send(0, talk()); b.send(1, talk().back()) },
			src:  byMAC(pumpMAC), dst: byMAC(serverMAC), srcIn: true, dstIn: true, mirror: true,
		},
		"no answer, so the MAC may be a router's": {
			play: func(b *bench) { b.send(0, talk()) },
			src:  byMAC(pumpMAC), dst: byIP(server), srcIn: true, dstIn: true, mirror: true,
		},
		"no answer, but ARP has told": {play: func(b *bench) {
			raw := arp(serverMAC, server)
			b.Packet(packet.LinkEthernet, at(0), raw, len(raw))
			b.send(1, talk())
		}, src: byMAC(pumpMAC), dst: byMAC(serverMAC), srcIn: true, dstIn: true, mirror: true},
		"to the internet": {play: func(b *bench) {
			f := talk()
			f.to, f.dst = routerMAC, outside
			b.send(0, f)
			r := f.back()
			r.ttl = 117
			b.send(1, r)
		}, src: byMAC(pumpMAC), srcIn: true},
		"from the internet": {play: func(b *bench) {
			f := frame{from: routerMAC, to: serverMAC, src: outside, dst: server, sp: 5000, dp: 80, ttl: 51}
			b.send(0, f)
			r := f.back()
			r.ttl = 128
			b.send(1, r)
		}, dst: byMAC(serverMAC), dstIn: true},
		"from a subnet behind the router": {play: func(b *bench) {
			f := frame{from: routerMAC, to: serverMAC, src: remote, dst: server, sp: 5000, dp: 80, ttl: 63}
			b.send(0, f)
			r := f.back()
			r.ttl = 64
			b.send(1, r)
		}, src: byIP(remote), dst: byMAC(serverMAC), srcIn: true, dstIn: true, mirror: true},
		"a device with a public address": {play: func(b *bench) {
			f := talk()
			f.src = netip.MustParseAddr("193.1.1.5")
			b.send(0, f)
			b.send(1, f.back())
		}, src: byMAC(pumpMAC), dst: byMAC(serverMAC), srcIn: true, dstIn: true, mirror: true},
		"to multicast": {play: func(b *bench) {
			f := talk()
			f.to, f.dst, f.ttl = proto.MAC{1, 0, 0x5e, 0, 0, 251}, netip.MustParseAddr("224.0.0.251"), 1
			b.send(0, f)
		}, src: byMAC(pumpMAC), srcIn: true, dstIn: true},
		"to the subnet's broadcast": {play: func(b *bench) {
			f := talk()
			f.to, f.dst = broadcast, netip.MustParseAddr("10.0.0.255")
			b.send(0, f)
		}, src: byMAC(pumpMAC), srcIn: true, dstIn: true},
		"without an address yet": {play: func(b *bench) {
			f := talk()
			f.to, f.src, f.dst = broadcast, netip.IPv4Unspecified(), netip.MustParseAddr("255.255.255.255")
			b.send(0, f)
		}, src: byMAC(pumpMAC), srcIn: true, dstIn: true},
		"IPv6, global and link-local": {play: func(b *bench) {
			f := talk()
			f.src, f.dst = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("fe80::2")
			b.send(0, f)
			b.send(1, f.back())
		}, src: byMAC(pumpMAC), dst: byMAC(serverMAC), srcIn: true, dstIn: true, mirror: true},
		"a MAC with many addresses": {play: func(b *bench) {
			for i := range 9 {
				f := talk()
				f.from, f.src = routerMAC, netip.AddrFrom4([4]byte{10, 3, 0, byte(i)})
				b.send(0, f)
			}
			b.items = nil
			b.End()
			b.items = slices.DeleteFunc(b.items, func(it proto.Item) bool { return it.Flow != nil && it.Flow.SrcIP.As4()[3] != 0 })
		}, src: byIP(netip.MustParseAddr("10.3.0.0")), dst: byIP(server), srcIn: true, dstIn: true, mirror: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(Config{})
			tt.play(b)
			b.End()
			items := b.flows()
			want := 1
			if tt.mirror {
				want = 2
			}
			if len(items) != want || items[0].Mirror || (tt.mirror && !items[1].Mirror) {
				t.Fatalf("%d items, want %d", len(items), want)
			}
			f := items[0].Flow
			if f.SrcEndpoint != tt.src || f.DstEndpoint != tt.dst || f.SrcInside != tt.srcIn || f.DstInside != tt.dstIn {
				t.Errorf("from %v (inside %v) to %v (%v), want %v (%v) to %v (%v)", f.SrcEndpoint, f.SrcInside, f.DstEndpoint, f.DstInside, tt.src, tt.srcIn, tt.dst, tt.dstIn)
			}
			lane := f.SrcEndpoint.Lane()
			switch {
			case tt.src.IsZero() && tt.dst.IsZero():
				lane = f.FlowID.Lane()
			case tt.src.IsZero():
				lane = f.DstEndpoint.Lane()
			}
			if items[0].Lane != lane || (tt.mirror && items[1].Lane != f.DstEndpoint.Lane()) {
				t.Errorf("lanes %d of %d items", items[0].Lane, len(items))
			}
			if f.Site != site || f.Sensor != "tap" {
				t.Errorf("site %q, sensor %q", f.Site, f.Sensor)
			}
		})
	}
}

// TestHostOfManyLeases: addresses that come one after the other are a host's.
func TestHostOfManyLeases(t *testing.T) {
	b := newBench(Config{})
	for i := range 30 {
		f := talk()
		f.src = netip.AddrFrom4([4]byte{10, 0, 1, byte(i)})
		b.send(float64(i)*2000, f)
	}
	b.End()
	for _, it := range b.flows() {
		if !it.Mirror && it.Flow.SrcEndpoint != proto.MACEndpoint(site, pumpMAC) {
			t.Fatalf("flow of %v is not the host's", it.Flow.SrcIP)
		}
	}
}

// TestPartsStayOnTheirLanes: what is learned later does not move a flow that has
// been told of.
func TestPartsStayOnTheirLanes(t *testing.T) {
	b := newBench(Config{})
	f := talk()
	f.flags = packet.ACK
	b.send(0, f)
	b.send(70, f)
	b.send(71, f.back()) // only now the server's MAC is known
	b.End()
	var parts []*proto.Flow
	for _, it := range b.flows() {
		if !it.Mirror {
			parts = append(parts, it.Flow)
		}
	}
	if len(parts) != 2 || parts[0].Part != 0 || parts[1].Part != 1 || !parts[1].Final {
		t.Fatalf("parts %+v", parts)
	}
	if parts[0].DstEndpoint != parts[1].DstEndpoint || parts[0].DstEndpoint != proto.IPEndpoint(site, 0, server) {
		t.Errorf("endpoints %v, %v", parts[0].DstEndpoint, parts[1].DstEndpoint)
	}
}

func TestLabels(t *testing.T) {
	const question = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01"
	for _, tt := range []struct {
		name, by string
		frame    frame
	}{
		{"telnet", proto.ByPort, frame{flags: packet.SYN, dp: 23}},
		{"unknown", "", frame{flags: packet.SYN, dp: 9999}},
		{"dicom", proto.ByPort, frame{flags: packet.SYN, dp: 11112}},
		{"dns", proto.ByContent, frame{dp: 53, payload: question}},
		{"syslog", proto.ByContent, frame{dp: 514, payload: "<14>hello"}},
		{"syslog", proto.ByPort, frame{dp: 514, payload: "hello"}},
		{"unknown", "", frame{dp: 9998, payload: "?"}},
	} {
		b := newBench(Config{})
		f := tt.frame
		f.from, f.to, f.src, f.dst, f.sp = pumpMAC, serverMAC, pump, server, 40000
		b.send(0, f)
		b.End()
		if v := b.flows()[0].Flow; v.Protocol != tt.name || v.ProtocolBy != tt.by {
			t.Errorf("port %d: %s by %q, want %s by %q", f.dp, v.Protocol, v.ProtocolBy, tt.name, tt.by)
		}
	}
}

func TestHeartbeats(t *testing.T) {
	b := newBench(Config{})
	var order []string
	b.cfg.Emit = func(it proto.Item) {
		switch {
		case it.Heartbeat != nil:
			order = append(order, fmt.Sprintf("beat %g %v", it.Heartbeat.Clock.Sub(epoch).Seconds(), it.Heartbeat.End))
		case !it.Mirror:
			order = append(order, fmt.Sprintf("flow %g", it.Flow.Start.Sub(epoch).Seconds()))
		}
	}
	for _, s := range []float64{0, 0.5, 0.9, 1, 1.5, 1.2, 2.1, 100} {
		b.send(s, talk())
	}
	b.End()
	want := []string{"beat 0 false", "beat 1 false", "beat 2.1 false", "flow 0", "beat 100 false", "flow 100", "beat 100 true"}
	if !slices.Equal(order, want) {
		t.Errorf("got %v, want %v", order, want)
	}
	empty := newBench(Config{})
	empty.End()
	if len(empty.items) != 0 {
		t.Errorf("nothing gave %v", empty.items)
	}
}

func TestObservationOfARP(t *testing.T) {
	b := newBench(Config{})
	raw := arp(pumpMAC, pump)
	b.Packet(packet.LinkEthernet, at(0), raw, len(raw))
	list := b.observations()
	if len(list) != 1 {
		t.Fatalf("%d observations", len(list))
	}
	o := list[0]
	if o.Endpoint != proto.MACEndpoint(site, pumpMAC) || o.MAC != pumpMAC || o.IP != pump || !o.FlowID.IsZero() || o.Protocol != "arp" || o.ObservationID.IsZero() || o.Time != at(0) {
		t.Errorf("%+v", o)
	}
	if it := b.items[1]; it.Lane != o.Endpoint.Lane() {
		t.Errorf("lane %d", it.Lane)
	}
}

// A flow that ends as a frame without IP comes in has nothing to do with it.
func TestARPBelongsToNoFlow(t *testing.T) {
	b := newBench(Config{})
	b.send(0, talk())
	raw := arp(serverMAC, server)
	copy(raw, pumpMAC[:])
	b.Packet(packet.LinkEthernet, at(3600), raw, len(raw)) // long after the flow's idle timeout
	got := b.observations()
	if len(b.flows()) == 0 || len(got) != 1 {
		t.Fatalf("%d flows and %d observations", len(b.flows()), len(got))
	}
	if o := got[0]; !o.FlowID.IsZero() || o.Peer != proto.MACEndpoint(site, pumpMAC) {
		t.Errorf("flow %s, peer %s", o.FlowID, o.Peer)
	}
}

// A neighbor advertisement tells who has an address of IPv6, as ARP does of IPv4.
func TestObservationOfNDP(t *testing.T) {
	link, target := netip.MustParseAddr("fe80::2"), netip.MustParseAddr("fd00::9")
	body := slices.Concat([]byte{136, 0, 0, 0, 0x60, 0, 0, 0}, target.AsSlice(), []byte{2, 1}, serverMAC[:])
	raw := slices.Concat(pumpMAC[:], serverMAC[:], be(0x86dd), []byte{0x60, 0, 0, 0}, be(len(body)), []byte{58, 255}, link.AsSlice(), netip.MustParseAddr("fe80::1").AsSlice(), body)
	b := newBench(Config{})
	b.Packet(packet.LinkEthernet, at(0), raw, len(raw))
	f := talk()
	f.src, f.dst = netip.MustParseAddr("fd00::8"), target
	b.send(1, f)
	b.End()
	list := b.observations()
	if len(list) != 1 || list[0].Endpoint != proto.MACEndpoint(site, serverMAC) || list[0].IP != target || list[0].Protocol != "ndp" || list[0].FlowID.IsZero() {
		t.Fatalf("%+v", list)
	}
	for _, item := range b.flows() {
		flow := item.Flow
		if flow.DstIP == target && flow.DstEndpoint != proto.MACEndpoint(site, serverMAC) {
			t.Errorf("the flow to it goes to %s", flow.DstEndpoint)
		}
	}
}

func TestSubjects(t *testing.T) {
	b := newBench(Config{})
	b.send(0, talk())
	b.send(0.1, talk().back())
	e, _ := b.table.Add(headersOf(talk(), 0.2))
	b.current = e
	pkt := &dissect.Packet{Headers: headersOf(talk(), 0.2)}
	relayed := proto.MAC{0, 1, 2, 3, 4, 5}
	for name, tt := range map[string]struct {
		subject       dissect.Subject
		endpoint      proto.ID
		gateway, peer proto.ID
		ip            string
	}{
		"source":            {dissect.Subject{Side: dissect.Src}, proto.MACEndpoint(site, pumpMAC), proto.ID{}, proto.MACEndpoint(site, serverMAC), "10.0.0.1"},
		"destination":       {dissect.Subject{Side: dissect.Dst}, proto.MACEndpoint(site, serverMAC), proto.ID{}, proto.MACEndpoint(site, pumpMAC), "10.0.0.2"},
		"relayed client":    {dissect.Subject{Side: dissect.Src, MAC: relayed, IP: netip.MustParseAddr("10.5.5.5")}, proto.MACEndpoint(site, relayed), proto.ID{}, proto.MACEndpoint(site, serverMAC), "10.5.5.5"},
		"named host":        {dissect.Subject{Side: dissect.Other, IP: server}, proto.MACEndpoint(site, serverMAC), proto.ID{}, proto.ID{}, "10.0.0.2"},
		"unseen host":       {dissect.Subject{Side: dissect.Other, IP: remote}, proto.IPEndpoint(site, 0, remote), proto.ID{}, proto.ID{}, "10.9.0.7"},
		"outside host":      {dissect.Subject{Side: dissect.Other, IP: outside}, proto.ID{}, proto.ID{}, proto.ID{}, "8.8.8.8"},
		"equipment":         {dissect.Subject{Side: dissect.Other, Equipment: "PUMP7", Gateway: dissect.Src}, proto.EquipmentEndpoint(site, "PUMP7"), proto.MACEndpoint(site, pumpMAC), proto.ID{}, ""},
		"equipment and MAC": {dissect.Subject{Side: dissect.Other, Equipment: "PUMP7", MAC: relayed, Gateway: dissect.Src}, proto.MACEndpoint(site, relayed), proto.MACEndpoint(site, pumpMAC), proto.ID{}, ""},
	} {
		b.items = nil
		b.fact(pkt, &dissect.Fact{Time: at(0.2), Subject: tt.subject, Protocol: "hl7", Kind: "x"})
		o := b.items[0].Observation
		ip := ""
		if o.IP.IsValid() {
			ip = o.IP.String()
		}
		if o.Endpoint != tt.endpoint || o.Gateway != tt.gateway || o.Peer != tt.peer || ip != tt.ip || o.FlowID != e.FlowID {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// TestPanicCostsOnePacket: our own bug must not stop the sensor. The receiver's
// is its own.
func TestPanicCostsOnePacket(t *testing.T) {
	var places []string
	b := newBench(Config{OnPanic: func(place string) { places = append(places, place) }})
	b.send(0, talk())
	b.engine = nil // the next packet runs into it
	b.send(1, talk())
	b.send(2, talk())
	if b.counts.panics != 1 || len(places) != 1 || !strings.Contains(places[0], ".go:") {
		t.Errorf("%d panics counted, heard of %v", b.counts.panics, places)
	}
	defer func() {
		if recover() == nil {
			t.Error("the receiver's panic is hidden")
		}
	}()
	b.cfg.Emit = func(proto.Item) { panic("receiver") }
	b.send(100, talk())
}

func TestSummary(t *testing.T) {
	b := newBench(Config{MaxFlows: 2})
	for i := range 4 {
		f := talk()
		f.sp = i
		b.send(float64(i), f)
	}
	b.Packet(9999, at(4), make([]byte, 50), 60)
	b.Packet(packet.LinkEthernet, at(3), make([]byte, 5), 5)
	b.End()
	s := b.Summary()
	if s.Packets != 6 || s.Bytes != 4*43+60+5 || s.Flows != 4 || s.Seconds != 4 {
		t.Errorf("%+v", s)
	}
	for reason, n := range map[string]uint64{"flow_table_full": 2, "link_unsupported": 1, "link_cut": 1, "packet_time_back": 1, "packet_panic": 0, "fragment_incomplete": 0} {
		if got, ok := s.Drops[reason]; !ok || got != n {
			t.Errorf("%s: %d, want %d", reason, got, n)
		}
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
}
