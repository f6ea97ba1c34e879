package flow_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/flow"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// tunnelled puts a packet into tunnels of one kind, of the numbers.
func tunnelled(h *packet.Headers, kind packet.TunnelKind, ids ...uint32) *packet.Headers {
	v := *h
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	if h.SrcIP == server {
		a, b = b, a
	}
	v.NTunnels = len(ids)
	for i, id := range ids {
		v.Tunnels[i] = packet.Tunnel{SrcIP: a, DstIP: b, ID: id, Kind: kind}
	}
	if kind == packet.TunnelVXLAN {
		v.VNI = ids[len(ids)-1]
	}
	return &v
}

func TestTunnelsOfFlows(t *testing.T) {
	udp := forward(0, proto.UDP, "q")
	for name, tt := range map[string]struct {
		packets []*packet.Headers
		want    []string
	}{
		"both ways, numbers differ": {
			[]*packet.Headers{tunnelled(udp, packet.TunnelGTP, 7), tunnelled(back(udp), packet.TunnelGTP, 8)},
			[]string{"1/1 [gtp 192.0.2.1>192.0.2.2 7]"},
		},
		"one way in a tunnel": {
			[]*packet.Headers{tunnelled(udp, packet.TunnelIPIP, 0), back(udp)},
			[]string{"1/1 [ipip 192.0.2.1>192.0.2.2]"},
		},
		"the same addresses in two networks": {
			[]*packet.Headers{tunnelled(udp, packet.TunnelVXLAN, 1), tunnelled(udp, packet.TunnelVXLAN, 2), tunnelled(back(udp), packet.TunnelVXLAN, 2), udp},
			[]string{"1/0 []", "1/0 [vxlan 192.0.2.1>192.0.2.2 1]", "1/1 [vxlan 192.0.2.1>192.0.2.2 2]"},
		},
		"from the source on, though it is not seen first": {
			[]*packet.Headers{tunnelled(back(segment(0, packet.SYN|packet.ACK, 5, "")), packet.TunnelGRE, 3, 0)},
			[]string{"0/1 [gre 192.0.2.1>192.0.2.2 3 gre 192.0.2.1>192.0.2.2]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(flow.Config{})
			for _, h := range tt.packets {
				s.Add(h)
			}
			s.Flush()
			var got []string
			ids := map[proto.ID]bool{}
			for _, f := range s.parts {
				got = append(got, fmt.Sprintf("%d/%d %v", f.SrcPackets, f.DstPackets, f.Tunnel))
				ids[f.FlowID] = true
				if f.SrcIP != client || f.CommunityID != s.parts[0].CommunityID {
					t.Errorf("flow from %v, Community ID %v", f.SrcIP, f.CommunityID)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) || len(ids) != len(tt.want) {
				t.Errorf("%d ids, %q, want %q", len(ids), got, tt.want)
			}
		})
	}
}

// TestTunnelsAreForgotten: what flows share is kept while one of them lives, and
// every part of a flow tells of it.
func TestTunnelsAreForgotten(t *testing.T) {
	s := newScript(flow.Config{})
	for i := range 1000 {
		h := tunnelled(forward(float64(i)/100, proto.UDP, "q"), packet.TunnelGTP, uint32(i/2+1))
		h.SrcPort = uint16(i + 1)
		s.Add(h)
		h.Time = at(65 + float64(i)/1000)
		s.Add(h)
	}
	if of, known := flow.Tunnels(s.Table); of != 1000 || known != 500 {
		t.Errorf("%d flows in %d tunnels, want 1000 in 500", of, known)
	}
	s.Flush()
	if of, known := flow.Tunnels(s.Table); of != 0 || known != 0 {
		t.Errorf("%d flows in %d tunnels are left", of, known)
	}
	for _, f := range s.parts {
		if want := fmt.Sprintf("gtp 192.0.2.1>192.0.2.2 %d", (f.SrcPort-1)/2+1); len(f.Tunnel) != 1 || f.Tunnel[0] != want {
			t.Fatalf("part %d of port %d: %v, want %s", f.Part, f.SrcPort, f.Tunnel, want)
		}
	}
}

// TestArkimeTunnels compares the outer addresses, virtual networks and inner MACs
// of flows with those of Arkime's own tests.
func TestArkimeTunnels(t *testing.T) {
	dir := repotest.Shared(t, "captures/arkime/pcap")
	tests, err := filepath.Glob(filepath.Join(dir, "*.test"))
	if err != nil {
		t.Fatal(err)
	}
	sessions, agree := 0, 0
	for _, path := range tests {
		capture := strings.TrimSuffix(path, ".test") + ".pcap"
		if !exists(capture) {
			continue
		}
		var flows []*proto.Flow
		for _, s := range arkimeSessions(t, path) {
			if len(s.SrcOuter) == 0 {
				continue
			}
			if flows == nil {
				flows = flowsOf(t, capture)
			}
			sessions++
			if i := slices.IndexFunc(flows, s.is); i >= 0 {
				agree++
				flows = slices.Delete(flows, i, i+1)
			} else {
				t.Logf("%s: no flow as Arkime's %+v", filepath.Base(capture), s)
			}
		}
	}
	t.Logf("%d sessions in tunnels, %d agree", sessions, agree)
	if sessions < 30 || agree < sessions-1 {
		t.Errorf("%d sessions in tunnels, %d agree", sessions, agree)
	}
}

// arkimeSession is what is compared of an Arkime session.
type arkimeSession struct {
	Source      arkimeEnd
	Destination arkimeEnd
	IPProtocol  int      `json:"ipProtocol"`
	SrcOuter    []string `json:"srcOuterIp"`
	DstOuter    []string `json:"dstOuterIp"`
	VNI         []int    `json:"vni"`
}

type arkimeEnd struct {
	IP   string   `json:"ip"`
	Port int      `json:"port"`
	MAC  []string `json:"mac"`
}

func arkimeSessions(t *testing.T, path string) (out []arkimeSession) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Sessions []struct {
			Body arkimeSession `json:"body"`
		} `json:"sessions3"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, s := range file.Sessions {
		out = append(out, s.Body)
	}
	return out
}

// is reports that a flow is the session: the ends, and in some of its tunnels each
// outer address and each virtual network. Arkime lists them without order.
func (s arkimeSession) is(f *proto.Flow) bool {
	ends := f.SrcIP.String() == s.Source.IP && f.DstIP.String() == s.Destination.IP
	if f.Transport == proto.TCP || f.Transport == proto.UDP {
		ends = ends && int(f.SrcPort) == s.Source.Port && int(f.DstPort) == s.Destination.Port
	}
	if !ends || int(f.Transport) != s.IPProtocol {
		return false
	}
	all := " " + strings.ReplaceAll(strings.Join(f.Tunnel, " "), ">", " ") + " "
	for _, a := range slices.Concat(s.SrcOuter, s.DstOuter) {
		if !strings.Contains(all, " "+a+" ") {
			return false
		}
	}
	for _, n := range s.VNI {
		if !strings.Contains(all, fmt.Sprintf(" %d ", n)) {
			return false
		}
	}
	return len(s.Source.MAC) == 0 || slices.Contains(s.Source.MAC, f.SrcMAC.String())
}

// ndpiTunnelled are nDPI's captures of tunnels that it looks into, and its flows.
var ndpiTunnelled = map[string]string{
	"4in6tunnel.pcap":  "tcp 192.168.0.1:64455 10.10.10.1:443",
	"6in6tunnel.pcap":  "udp [dead::beef]:30000 [cafe::babe]:13000",
	"ipv6_in_gtp.pcap": "50 [2a01:4c8:c014:144e:1:2:945b:6761]:0 [2a01:4c8:f000:f49::4]:0, udp [2607:fc20:4052:39e:490a:ea4d:17fe:e09c]:49120 [fd00:976a:bc67:193e::7]:25658",
	"vxlan.pcap":       "tcp 10.10.20.4:45226 157.240.224.35:443, tcp 10.10.20.4:45228 157.240.224.35:443, udp 10.10.20.4:32860 8.8.8.8:53, udp 10.10.20.4:44437 8.8.8.8:53",
	"dlt_ppp.pcap":     "udp 193.167.0.252:44083 193.167.100.100:443",
}

func TestNDPITunnels(t *testing.T) {
	dir := repotest.Shared(t, "captures/nDPI/pcap")
	for name, want := range ndpiTunnelled {
		var got []string
		for _, f := range flowsOf(t, filepath.Join(dir, name)) {
			a, b := netip.AddrPortFrom(f.SrcIP, f.SrcPort), netip.AddrPortFrom(f.DstIP, f.DstPort)
			got = append(got, fmt.Sprintf("%v %v %v", f.Transport, a, b))
			if len(f.Tunnel) != 1 && name != "dlt_ppp.pcap" {
				t.Errorf("%s: tunnels %v", name, f.Tunnel)
			}
		}
		slices.Sort(got)
		if g := strings.Join(got, ", "); g != want {
			t.Errorf("%s: flows %s, nDPI has %s", name, g, want)
		}
	}
}

// suricataTunnelled are what Suricata's own tests expect of flows in tunnels.
var suricataTunnelled = map[string][]string{
	"geneve-decoder/input.pcap":         {"icmp 10.0.0.1:8>10.0.0.2:0 4/4 vlan 0 [geneve 192.168.56.11>192.168.56.12 123]"},
	"vxlan-decoder-01/input.pcap":       {"udp 10.96.0.10:53>185.27.115.6:12345 1/0 vlan 0 [vxlan 109.105.96.78>109.105.96.77 37]", "udp 109.105.110.193:32021>185.27.115.6:12345 1/1 vlan 0 []"},
	"decode-nsh-type1/input.pcap":       {"udp 10.0.0.1:52377>10.0.0.2:52464 1/0 vlan 0 [nsh 1]"},
	"decode-erspan-typeI-02/input.pcap": {"icmp 100.95.2.201:8>100.95.3.105:0 21/0 vlan 1011 [erspan 100.95.0.15>100.95.254.129]", "icmp 100.95.3.105:0>100.95.2.201:0 21/0 vlan 999 [erspan 100.95.0.15>100.95.254.129]"},
	// With its option that a tunnel is no part of what tells flows apart.
	"flow-pkt-recursion/tunnel-pkt-flows.pcap": {"icmp 1.1.1.1:8>2.2.2.2:0 1/1 vlan 0 []", "icmp 2.2.2.2:8>1.1.1.1:0 1/1 vlan 0 [4in6 fd02::202:202>fd01::101:101]"},
}

func TestSuricataTunnels(t *testing.T) {
	dir := repotest.Shared(t, "captures/suricata-verify")
	for name, want := range suricataTunnelled {
		var got []string
		for _, f := range flowsOf(t, filepath.Join(dir, name)) {
			got = append(got, fmt.Sprintf("%v %v:%d>%v:%d %d/%d vlan %d %v", f.Transport, f.SrcIP, f.SrcPort, f.DstIP, f.DstPort, f.SrcPackets, f.DstPackets, f.VLAN, f.Tunnel))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
