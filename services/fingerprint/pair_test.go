package fingerprint

import (
	"net/netip"
	"testing"

	"github.com/wardflow/wardflow/proto"
)

// What a pair's key holds comes back in its row; on another VLAN it is another pair. A key
// without a VLAN is as it was before there were any in it.
func TestPairKey(t *testing.T) {
	four, six := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	owner, peer := proto.ID{1}, proto.ID{2}
	for _, f := range []proto.Flow{
		{SrcEndpoint: owner, DstEndpoint: peer, SrcIP: four, DstIP: six, Transport: proto.TCP, DstPort: 104, Protocol: "dicom", VLAN: 40},
		{SrcEndpoint: owner, SrcIP: six, DstIP: four, Transport: proto.UDP, DstPort: 53, Protocol: "dns", VLAN: 4095},
		{DstEndpoint: owner, DstIP: four, Transport: proto.TCP, DstPort: 1, VLAN: 1},
		{SrcEndpoint: owner, SrcIP: four, DstIP: four, Transport: proto.TCP, DstPort: 443, Protocol: "tls"},
	} {
		key := appendPairKey(nil, owner, 495_000, &f, false)
		r := (&pair{flows: 3}).row("north", key)
		want := proto.Pair{
			Site: "north", Hour: 495_000 * hourNS, Endpoint: f.SrcEndpoint, PeerID: f.DstEndpoint, ClientIP: f.SrcIP, PeerIP: f.DstIP, Transport: f.Transport,
			Port: f.DstPort, Protocol: f.Protocol, Flows: 3, VLAN: f.VLAN,
		}
		if *r != want {
			t.Errorf("got  %+v\nwant %+v", *r, want)
		}
		tagged := f
		tagged.VLAN = 7
		if string(appendPairKey(nil, owner, 495_000, &tagged, false)) == string(key) {
			t.Errorf("%+v: the VLAN is not in the key", f)
		}
	}
	plain := proto.Flow{SrcEndpoint: owner, SrcIP: four, DstIP: four, Transport: proto.TCP, DstPort: 443, Protocol: "tls"}
	if key := appendPairKey(nil, owner, 1, &plain, false); len(key) != 16+4+1+1+2+4+4+3 {
		t.Errorf("a key without a VLAN has %d bytes", len(key))
	}
}
