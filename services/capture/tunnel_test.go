package capture

import (
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// carried puts a packet, or a frame, into a tunnel between the server and the router.
func carried(inner frame, how string) []byte {
	b := inner.bytes()
	head := slices.Concat(routerMAC[:], serverMAC[:], be(0x800))
	outer := func(transport byte, body ...[]byte) []byte {
		all := slices.Concat(body...)
		return slices.Concat(head, []byte{0x45, 0}, be(20+len(all)), be(0), be(0), []byte{64, transport, 0, 0}, server.AsSlice(), remote.AsSlice(), all)
	}
	switch how {
	case "gre":
		return outer(47, be(0), be(0x800), b[14:])
	case "mpls":
		return slices.Concat(routerMAC[:], serverMAC[:], be(0x8847), []byte{0, 1, 0x11, 64}, b[14:])
	case "pppoe":
		return slices.Concat(routerMAC[:], serverMAC[:], be(0x8864), []byte{0x11, 0}, be(7), be(len(b)-12), be(0x21), b[14:])
	}
	return outer(17, be(40000), be(4789), be(16+len(b)), be(0), []byte{8, 0, 0, 0, 0, 0, 9, 0}, b)
}

// TestTunnelsOwnNothing: who carries packets in a tunnel does not own the addresses
// in them. Where the tunnel carries whole frames, the MACs in those are the hosts'.
func TestTunnelsOwnNothing(t *testing.T) {
	inner := frame{from: pumpMAC, to: routerMAC, src: pump, dst: outside, sp: 40000, dp: 9999, payload: "x"}
	byMAC, byIP := proto.MACEndpoint(site, pumpMAC), proto.IPEndpoint(site, 0, pump)
	for how, want := range map[string]struct {
		src    proto.ID
		mac    proto.MAC
		tunnel proto.Strings
	}{
		"gre":   {byIP, serverMAC, proto.Strings{"gre 10.0.0.2>10.9.0.7"}},
		"mpls":  {byIP, serverMAC, proto.Strings{"mpls 17"}},
		"vxlan": {byMAC, pumpMAC, proto.Strings{"vxlan 10.0.0.2>10.9.0.7 9"}},
		"pppoe": {proto.MACEndpoint(site, serverMAC), serverMAC, proto.Strings{"pppoe 7"}},
	} {
		t.Run(how, func(t *testing.T) {
			b := newBench(Config{})
			raw := carried(inner, how)
			b.Packet(packet.LinkEthernet, at(0), raw, len(raw))
			b.End()
			f := b.flows()[0].Flow
			if f.SrcIP != pump || f.SrcEndpoint != want.src || f.SrcMAC != want.mac || !slices.Equal(f.Tunnel, want.tunnel) {
				t.Errorf("%v is %v, MAC %v, tunnel %v; want %v, %v, %v", f.SrcIP, f.SrcEndpoint, f.SrcMAC, f.Tunnel, want.src, want.mac, want.tunnel)
			}
			if owner := b.segment.owners[place{ip: pump}]; (how == "gre" || how == "mpls") && !owner.IsZero() {
				t.Errorf("%v owns the address in the tunnel", owner)
			}
		})
	}
}

// TestObservationOfARPInATunnel: what a mirror brings of ARP is as good as on the wire.
func TestObservationOfARPInATunnel(t *testing.T) {
	b := newBench(Config{})
	f := arp(pumpMAC, pump)
	raw := slices.Concat(routerMAC[:], serverMAC[:], be(0x800), []byte{0x45, 0}, be(20+8+8+len(f)), be(0), be(0), []byte{64, 17, 0, 0}, server.AsSlice(), remote.AsSlice(),
		be(40000), be(4789), be(16+len(f)), be(0), []byte{8, 0, 0, 0, 0, 0, 9, 0}, f)
	b.Packet(packet.LinkEthernet, at(0), raw, len(raw))
	b.End()
	if o := b.observations(); len(o) == 0 || o[0].Endpoint != proto.MACEndpoint(site, pumpMAC) || o[0].IP != pump {
		t.Errorf("observations %+v", o)
	}
	if b.segment.owners[place{ip: pump}] != pumpMAC {
		t.Error("ARP in a tunnel tells nothing")
	}
}
