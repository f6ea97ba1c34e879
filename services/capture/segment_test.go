package capture

import (
	"net/netip"
	"testing"

	"github.com/wardflow/wardflow/proto"
)

func TestSegmentIsBounded(t *testing.T) {
	g := newSegment(site, DefaultHome())
	for i := range 2 * maxStations {
		mac := proto.MAC{2, 0, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}
		g.learn(0, mac, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), sighting{})
	}
	if len(g.stations) != maxStations || len(g.owners) != maxStations {
		t.Errorf("%d stations, %d owners", len(g.stations), len(g.owners))
	}
	for i := range 1000 { // a router, and ARP that claims everything
		ip := netip.AddrFrom4([4]byte{10, 77, byte(i >> 8), byte(i)})
		g.learn(0, routerMAC, ip, sighting{})
		g.learn(0, serverMAC, ip, sighting{claim: true})
	}
	if a, b := len(g.stations[routerMAC].addresses), len(g.stations[serverMAC].addresses); a > maxOwn4+1 || b > maxOwn4+1 {
		t.Errorf("%d and %d addresses kept", a, b)
	}
	for i := range 1000 { // NDP that claims everything, of whom IPv4 says nothing bad
		g.learn(0, pumpMAC, netip.AddrFrom16([16]byte{0xfd, 14: byte(i >> 8), 15: byte(i)}), sighting{claim: true})
	}
	g.learn(0, pumpMAC, pump, sighting{claim: true})
	if n := len(g.stations[pumpMAC].addresses); n > maxOwn6+2 {
		t.Errorf("%d addresses kept", n)
	}
	if e := g.end(0, pumpMAC, pump); e.id != proto.MACEndpoint(site, pumpMAC) {
		t.Error("an address of IPv4 is not its own for what it claims of IPv6")
	}
	if e := g.end(0, serverMAC, netip.MustParseAddr("10.77.0.3")); e.id != proto.IPEndpoint(site, 0, netip.MustParseAddr("10.77.0.3")) {
		t.Error("who answers for everybody owns everything")
	}
}
