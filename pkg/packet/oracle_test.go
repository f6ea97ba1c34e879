package packet_test

import (
	"io/fs"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// header is what both decoders can be asked for.
type header struct {
	src, dst  netip.Addr
	transport proto.Transport
	sp, dp    uint16
	flags     uint8
	seq       uint32
	ttl       uint8
	payload   int
}

// TestAgainstGopacket decodes every Ethernet frame of the shared captures a
// second time with gopacket, another implementation, and compares: all frames
// whose outermost IP packet is whole, unfragmented TCP or UDP to both.
func TestAgainstGopacket(t *testing.T) {
	compared, differ := 0, 0
	err := filepath.WalkDir(repotest.Shared(t, "captures"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.Contains(e.Name(), "cap") {
			return err
		}
		r, err := capfile.Open(path)
		if err != nil {
			return nil
		}
		defer r.Close()
		var d packet.Decoder
		var h packet.Headers
		var p capfile.Packet
		for r.Next(&p) == nil {
			if p.LinkType != packet.LinkEthernet || d.Decode(p.LinkType, p.Time, p.Data, p.WireLen, &h) != packet.OK || h.Fragment.Count > 0 || h.NTunnels > 0 {
				continue
			}
			theirs, ok := oracle(p.Data)
			if !ok {
				continue
			}
			ours := header{h.SrcIP, h.DstIP, h.Transport, h.SrcPort, h.DstPort, h.TCPFlags, h.Seq, h.TTL, len(h.Payload)}
			compared++
			if ours != theirs {
				if differ++; differ < 20 {
					t.Logf("%s: packet %d: %+v, gopacket has %+v", filepath.Base(path), r.Packets(), ours, theirs)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d packets compared, %d differ", compared, differ)
	if compared < 150_000 || differ > 3 {
		t.Errorf("%d packets compared, %d differ", compared, differ)
	}
}

// oracle decodes the first IP packet of a frame, if it carries TCP or UDP.
func oracle(frame []byte) (v header, ok bool) {
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.IPv4:
			if v.src.IsValid() {
				return v, false
			}
			v.src, v.dst, v.ttl = addr(l.SrcIP), addr(l.DstIP), l.TTL
		case *layers.IPv6:
			if v.src.IsValid() {
				return v, false
			}
			v.src, v.dst, v.ttl = addr(l.SrcIP), addr(l.DstIP), l.HopLimit
		case *layers.TCP:
			if !v.src.IsValid() {
				return v, false
			}
			v.transport, v.sp, v.dp, v.seq, v.payload = proto.TCP, uint16(l.SrcPort), uint16(l.DstPort), l.Seq, len(l.Payload)
			v.flags = l.Contents[13]
			return v, true
		case *layers.UDP:
			v.transport, v.sp, v.dp, v.payload = proto.UDP, uint16(l.SrcPort), uint16(l.DstPort), len(l.Payload)
			return v, v.src.IsValid()
		case *layers.GRE, *layers.MPLS, *layers.PPPoE:
			return v, false
		}
	}
	return v, false
}

// addr gives an address that is not valid where gopacket has given up.
func addr(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}
