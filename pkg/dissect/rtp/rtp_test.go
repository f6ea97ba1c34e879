package rtp_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// rtp is a packet of a source.
func rtp(kind byte, sequence int, source uint32) []byte {
	b := []byte{0x80, kind, byte(sequence >> 8), byte(sequence), byte(sequence >> 16), byte(sequence >> 8), byte(sequence), 2}
	return append(binary.BigEndian.AppendUint32(b, source), make([]byte, 160)...)
}

// rtcp is a packet of that type with n words behind its head.
func rtcp(kind byte, n int) []byte {
	return append([]byte{0x81, kind, byte(n >> 8), byte(n)}, make([]byte, 4*n)...)
}

type step struct {
	side int
	data []byte
}

func label(steps ...step) string {
	var list []packet.Headers
	for _, s := range steps {
		list = append(list, dissecttest.Datagram(s.side, [2]uint16{20000, 30000}, s.data))
	}
	r := dissecttest.Play(dissect.Config{}, list)
	if r.Flows[0].By != proto.ByContent {
		return ""
	}
	return r.Flows[0].Protocol
}

func TestRTP(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		steps      []step
	}{
		{"two that follow", "rtp", []step{{0, rtp(8, 7, 99)}, {0, rtp(8, 8, 99)}}},
		{"with the marker, one lost", "rtp", []step{{0, rtp(0x88, 0xffff, 99)}, {0, rtp(8, 0x10001, 99)}}},
		{"both sides", "rtp", []step{{0, rtp(8, 7, 99)}, {1, rtp(8, 1000, 5)}, {0, rtp(8, 8, 99)}}},
		{"one", "", []step{{0, rtp(8, 7, 99)}}},
		{"one of each side", "", []step{{0, rtp(8, 7, 99)}, {1, rtp(8, 8, 99)}}},
		{"the same again", "", []step{{0, rtp(8, 7, 99)}, {0, rtp(8, 7, 99)}}},
		{"another source", "", []step{{0, rtp(8, 7, 99)}, {0, rtp(8, 8, 98)}}},
		{"another type", "", []step{{0, rtp(8, 7, 99)}, {0, rtp(9, 8, 99)}}},
		{"far behind", "", []step{{0, rtp(8, 7, 99)}, {0, rtp(8, 700, 99)}}},
		{"the same time", "", []step{{0, rtp(8, 7, 99)}, {0, slices.Concat(rtp(8, 8, 99)[:4], rtp(8, 7, 99)[4:])}}},
		{"the same time, a picture", "rtp", []step{{0, append(rtp(8, 7, 99), make([]byte, 900)...)}, {0, append(slices.Concat(rtp(8, 8, 99)[:4], rtp(8, 7, 99)[4:]), make([]byte, 900)...)}}},
		{"BACnet", "", []step{{0, []byte("\x81\x0a\x00\x15\x01\x04\x30\x01\x0c\x0c\x02\x00\x00\x01\x19\x55\x3e\x44\x00\x00\x00")}, {0, []byte("\x81\x0a\x00\x16\x01\x04\x30\x02\x0c\x0c\x02\x00\x00\x01\x19\x55\x3e\x44\x00\x00\x00\x00")}}},
		{"zeros", "", []step{{0, make([]byte, 100)}, {0, make([]byte, 100)}}},
		{"more sources than bytes", "", []step{{0, append([]byte{0x8f}, rtp(8, 7, 99)[1:20]...)}, {0, append([]byte{0x8f}, rtp(8, 8, 99)[1:20]...)}}},
		{"a sender's report", "rtcp", []step{{0, slices.Concat(rtcp(200, 6), rtcp(202, 2))}}},
		{"a receiver's report and more", "rtcp", []step{{0, slices.Concat(rtcp(201, 1), rtcp(202, 3))}}},
		{"a receiver's report alone", "", []step{{0, rtcp(201, 1)}}},
		{"SRTCP", "rtcp", []step{{0, slices.Concat(rtcp(201, 1), []byte("encrypted"), []byte{0x80, 0, 0, 7}, make([]byte, 10))}}},
		{"a lying length", "", []step{{0, rtcp(200, 6)[:20]}}},
		{"something behind it", "", []step{{0, append(slices.Concat(rtcp(201, 1), rtcp(202, 3)), 1, 2, 3)}}},
	} {
		if got := label(tc.steps...); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// What SIP announced: RTP and RTCP on their ports, of nDPI's capture.
func TestCaptures(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/sip.pcap")))
	got := map[string]int{}
	for _, f := range r.Flows {
		got[f.Protocol+" "+f.By]++
	}
	if got["rtp context"]+got["rtp content"] == 0 || got["rtcp context"]+got["rtcp content"] == 0 {
		t.Error(got)
	}
	r = dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/rtp.pcapng")))
	for _, f := range r.Flows {
		if f.Protocol != "rtp" && f.DstPort != 5000 && f.DstPort != 50003 { // RTP over TCP (RFC 4571), and Discord, which begins otherwise
			t.Errorf("%s:%d %s:%d: %q", f.SrcIP, f.SrcPort, f.DstIP, f.DstPort, f.Protocol)
		}
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add(rtp(8, 7, 99), rtcp(200, 6))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		label(step{0, a}, step{0, b}, step{1, a}, step{0, a})
	})
}
