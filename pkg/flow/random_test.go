package flow_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/flow"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// randomPacket is one of a small world, so that everything happens often: ports
// come again, clocks jump both ways, ends come before beginnings.
func randomPacket(r *rand.Rand, now *proto.Time) *packet.Headers {
	switch r.IntN(40) {
	case 0:
		*now = now.Add(time.Duration(r.IntN(400)) * time.Second)
	case 1:
		*now = now.Add(-time.Duration(r.IntN(100)) * time.Second)
	default:
		*now = now.Add(time.Duration(r.IntN(1e9)))
	}
	h := &packet.Headers{
		Time: *now, Packets: 1 + r.IntN(2), IPBytes: 40 + r.IntN(100), PayloadLen: r.IntN(40),
		SrcIP: netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(4))}), DstIP: netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(4))}),
		SrcPort: uint16(r.IntN(3)), DstPort: uint16(r.IntN(3)), VLAN: proto.VLAN(r.IntN(2)),
		Transport: []proto.Transport{proto.TCP, proto.TCP, proto.UDP, proto.ICMP, 89}[r.IntN(5)],
	}
	if r.IntN(4) == 0 {
		h.SrcIP, h.DstIP = ip6(h.SrcIP), ip6(h.DstIP)
	}
	if h.Transport == proto.TCP {
		h.Seq, h.Ack = uint32(r.IntN(5)), uint32(r.IntN(5))
		h.TCPFlags = []uint8{packet.SYN, packet.SYN | packet.ACK, packet.ACK, packet.ACK, packet.FIN | packet.ACK, packet.RST}[r.IntN(6)]
	}
	return h
}

func ip6(a netip.Addr) netip.Addr {
	v := a.As4()
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 15: v[3]})
}

type totals struct{ packets, bytes, payload uint64 }

// TestRandomTraffic: nothing counted is lost or doubled, parts follow each other,
// each flow ends once, ids are never used twice, and a second run says the same.
func TestRandomTraffic(t *testing.T) {
	for seed := range uint64(8) {
		first := playRandom(t, seed)
		if second := playRandom(t, seed); !bytes.Equal(first, second) {
			t.Fatalf("seed %d: two runs differ", seed)
		}
	}
}

func playRandom(t *testing.T, seed uint64) []byte {
	var log bytes.Buffer
	var in, out totals
	next, ended := map[proto.ID]uint32{}, map[proto.ID]bool{}
	table := flow.New(flow.Config{Site: "site", Max: 40, Emit: func(_ *flow.Entry, f *proto.Flow) {
		if ended[f.FlowID] || f.Part != next[f.FlowID] {
			t.Fatalf("seed %d: part %d of %v, ended %v, want part %d", seed, f.Part, f.FlowID, ended[f.FlowID], next[f.FlowID])
		}
		next[f.FlowID]++
		ended[f.FlowID] = f.Final
		out.packets += f.SrcPackets + f.DstPackets
		out.bytes += f.SrcBytes + f.DstBytes
		out.payload += f.SrcPayloadBytes + f.DstPayloadBytes
		log.Write(append(f.AppendJSON(nil), '\n'))
	}})
	r := rand.New(rand.NewPCG(seed, 7))
	now := epoch
	for range 5000 {
		h := randomPacket(r, &now)
		in.packets += uint64(h.Packets)
		in.bytes += uint64(h.IPBytes)
		in.payload += uint64(h.PayloadLen)
		e, fromSrc := table.Add(h)
		if src := e.SrcIP(); fromSrc && src != h.SrcIP || !fromSrc && src != h.DstIP {
			t.Fatalf("seed %d: packet from %v is put to the wrong side of %v > %v", seed, h.SrcIP, src, e.DstIP())
		}
	}
	table.Flush()
	if in != out || table.Live() != 0 || uint64(len(ended)) != table.Flows() {
		t.Fatalf("seed %d: in %+v, out %+v, %d live, %d ids of %d flows", seed, in, out, table.Live(), len(ended), table.Flows())
	}
	for id, final := range ended {
		if !final {
			t.Fatalf("seed %d: flow %v has no end", seed, id)
		}
	}
	return log.Bytes()
}

// TestPartsAddUp: however a flow is cut into parts, together they say the same.
func TestPartsAddUp(t *testing.T) {
	type sums struct {
		packets, payload            uint64
		retransmits, resets, zeroes uint32
		messages, gaps, sizes       uint64
		srcRTT, dstRTT              proto.RTT
		state, firstPayload, path   string
	}
	play := func(seed uint64, active time.Duration) map[proto.ID]sums {
		all := map[proto.ID]sums{}
		table := flow.New(flow.Config{Site: "site", Max: 2000, ActiveTimeout: active, Emit: func(_ *flow.Entry, f *proto.Flow) {
			s := all[f.FlowID]
			s.packets += f.SrcPackets + f.DstPackets
			s.payload += f.SrcPayloadBytes + f.DstPayloadBytes
			s.retransmits += f.SrcRetransmits + 1000*f.DstRetransmits
			s.resets += f.SrcResets + 1000*f.DstResets
			s.zeroes += f.SrcZeroWindows + 1000*f.DstZeroWindows
			for _, m := range []*proto.Messages{f.SrcMessages, f.DstMessages} {
				if m != nil {
					s.messages += uint64(m.Count)
					s.gaps += m.Gaps.Total()
					s.sizes += m.Sizes.Total()
				}
			}
			s.srcRTT, s.dstRTT, s.state, s.firstPayload, s.path = f.SrcRTT, f.DstRTT, f.State, f.FirstPayload, strings.Join(f.Path, ",")
			all[f.FlowID] = s
		}})
		r := rand.New(rand.NewPCG(seed, 9))
		now := epoch
		for range 10000 {
			h := randomPacket(r, &now)
			h.SrcIP, h.DstIP, h.SrcPort, h.DstPort, h.VLAN = client, server, 8, 8, 0 // few, so that they live
			if r.IntN(2) == 0 {
				h.SrcIP, h.DstIP = server, client
			}
			h.Window, h.Header, h.TTL = uint16(r.IntN(3)), make([]byte, 20), uint8(63+r.IntN(2))
			table.Add(h)
		}
		table.Flush()
		return all
	}
	for seed := range uint64(4) {
		whole, parts := play(seed, 1e6*time.Hour), play(seed, 20*time.Second)
		var total sums
		for id, want := range whole {
			if got := parts[id]; got != want {
				t.Fatalf("seed %d, flow %v: %+v, as one %+v", seed, id, got, want)
			}
			total.retransmits += want.retransmits
			total.zeroes += want.zeroes
			total.messages += want.messages
		}
		if len(parts) != len(whole) || total.retransmits == 0 || total.zeroes == 0 || total.messages == 0 {
			t.Errorf("seed %d: %d flows, %d as one, %+v", seed, len(parts), len(whole), total)
		}
	}
}
