package arp_test

import (
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

func body(op byte, senderMAC proto.MAC, senderIP [4]byte, targetIP [4]byte) []byte {
	return slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, op}, senderMAC[:], senderIP[:], make([]byte, 6), targetIP[:], make([]byte, 18))
}

func headers(b []byte) packet.Headers {
	return packet.Headers{SrcMAC: proto.MAC{2, 0, 0, 0, 0, 1}, EtherType: packet.EtherTypeARP, LinkPayload: b}
}

func TestFrames(t *testing.T) {
	one, two := [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}
	own, other := proto.MAC{2, 0, 0, 0, 0, 1}, proto.MAC{2, 0, 0, 0, 0, 9}
	for _, tc := range []struct {
		name string
		b    []byte
		want string
	}{
		{"request", body(1, own, one, two), `arp request side=0 mac=02:00:00:00:00:01 ip=10.0.0.1 equipment="" gateway=0 {"sender_ip":"10.0.0.1","sender_mac":"02:00:00:00:00:01","target_ip":"10.0.0.2"}`},
		{"reply", body(2, own, one, two), `arp reply side=0 mac=02:00:00:00:00:01 ip=10.0.0.1 equipment="" gateway=0 {"sender_ip":"10.0.0.1","sender_mac":"02:00:00:00:00:01","target_ip":"10.0.0.2"}`},
		{"announcement", body(1, own, one, one), `arp announcement side=0 mac=02:00:00:00:00:01 ip=10.0.0.1 equipment="" gateway=0 {"sender_ip":"10.0.0.1","sender_mac":"02:00:00:00:00:01","target_ip":"10.0.0.1"}`},
		{"gratuitous reply", body(2, own, one, one), `arp announcement side=0 mac=02:00:00:00:00:01 ip=10.0.0.1 equipment="" gateway=0 {"sender_ip":"10.0.0.1","sender_mac":"02:00:00:00:00:01","target_ip":"10.0.0.1"}`},
		{"probe", body(1, own, [4]byte{}, two), `arp probe side=0 mac=02:00:00:00:00:01 ip=invalid IP equipment="" gateway=0 {"sender_mac":"02:00:00:00:00:01","target_ip":"10.0.0.2"}`},
		{"sender is not who sent it", body(2, other, one, two), `arp reply side=0 mac=02:00:00:00:00:09 ip=10.0.0.1 equipment="" gateway=0 {"frame_mac":"02:00:00:00:00:01","sender_ip":"10.0.0.1","sender_mac":"02:00:00:00:00:09","target_ip":"10.0.0.2"}`},
		{"reverse ARP", body(3, own, one, two), ""},
		{"short", body(1, own, one, two)[:27], ""},
		{"other hardware", append([]byte{0, 6}, body(1, own, one, two)[2:]...), ""},
	} {
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{headers(tc.b)})
		want := tc.want
		if want != "" {
			want += "\n"
		} else if len(r.Counters) == 0 {
			t.Errorf("%s: nothing is counted", tc.name)
		}
		if got := r.Text(); got != want {
			t.Errorf("%s: got %swant %s", tc.name, got, want)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(body(1, proto.MAC{2, 0, 0, 0, 0, 1}, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := dissecttest.Play(dissect.Config{}, []packet.Headers{headers(b)}); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
