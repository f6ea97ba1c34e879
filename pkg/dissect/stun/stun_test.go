package stun_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

func attr(kind int, v string) []byte {
	b := append([]byte{byte(kind >> 8), byte(kind), byte(len(v) >> 8), byte(len(v))}, v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func message(kind int, cookie string, attrs ...[]byte) []byte {
	b := slices.Concat(attrs...)
	return slices.Concat([]byte{byte(kind >> 8), byte(kind), byte(len(b) >> 8), byte(len(b))}, []byte(cookie), []byte("transaction!"), b)
}

const cookie = "\x21\x12\xa4\x42"

var binding = message(1, cookie, attr(6, "canaryuser:CANARY-ALFA"), attr(0x8022, "ICE 2.1"), attr(0x14, "PHI-0001-CANARY"))

func TestDatagrams(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		port       uint16
		in         []byte
		known      bool
	}{
		{"a request", "stun binding > software=ICE 2.1\n", 9999, binding, true},
		{"an answer", "", 9999, message(0x101, cookie, attr(0x20, "\x00\x01\x00\x00\x01\x02\x03\x04")), true},
		{"old, with an attribute", "", 9999, message(1, "cook", attr(3, "\x00\x00\x00\x00")), true},
		{"old, without", "", 9999, message(1, "cook"), false},
		{"old, without, on its port", "", 3478, message(1, "cook"), true},
		{"old, another type", "", 3478, message(0x33, "cook"), false},
		{"a lying length", "", 9999, binding[:30], false},
		{"short", "", 3478, binding[:10], false},
		{"an odd length", "", 9999, append([]byte{0, 1, 0, 3}, binding[4:]...), false},
	} {
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, tc.port}, tc.in), dissecttest.Datagram(0, [2]uint16{40000, tc.port}, tc.in)})
		if (r.Flows[0].Protocol == "stun" && r.Flows[0].By == proto.ByContent) != tc.known || r.Brief() != tc.want {
			t.Errorf("%s: %+v %s", tc.name, r.Flows[0], r.Brief())
		}
		if hits := canary.Search(r.Everything(), []string{"canaryuser", "CANARY-ALFA", "PHI-0001-CANARY"}); len(hits) > 0 {
			t.Error(hits)
		}
	}
}

func TestStream(t *testing.T) {
	for name, tc := range map[string]struct {
		in   []byte
		want string
	}{
		"alone": {binding, "stun"}, "behind a length": {append([]byte{0, byte(len(binding))}, binding...), "stun"}, "another cookie": {message(1, "cook", attr(3, "abcd")), ""}, "text": {[]byte("GET / HTTP/1.1\r\n"), "http"},
	} {
		if r := dissecttest.EveryCut(t, dissecttest.Conversation{{Side: 0, Data: tc.in}}); r.Flows[0].Protocol != tc.want {
			t.Errorf("%s: %+v", name, r.Flows[0])
		}
	}
}

// nDPI's captures.
func TestCaptures(t *testing.T) {
	for _, file := range []string{"nDPI/pcap/stun_classic.pcap", "nDPI/pcap/stun_tcp_multiple_msgs_same_pkt.pcap", "arkime/pcap/stun.pcap"} {
		n := 0
		for _, f := range dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file))).Flows {
			if f.Protocol == "stun" && f.By == proto.ByContent {
				n++
			}
		}
		if n == 0 {
			t.Errorf("%s: no STUN", file)
		}
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add(binding)
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 3478}, b)}); len(r.Panics) > 0 || strings.Contains(r.Brief(), "\n\n") {
			t.Fatal(r.Panics)
		}
		if r := dissecttest.Play(dissect.Config{}, dissecttest.Conversation{{Side: 0, Data: append([]byte{0}, b...)}}.Segments(true)); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
