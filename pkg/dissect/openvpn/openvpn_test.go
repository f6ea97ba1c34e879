package openvpn_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

var ends = [2]string{"CLIENTID", "SERVERID"}

// say makes a packet: kind and key, the side, an HMAC of so many bytes, what is
// acknowledged, a number, a payload.
func say(first byte, side, hmac int, acks []uint32, number uint32, payload []byte) []byte {
	b := append([]byte{first}, ends[side]...)
	if hmac > 0 {
		b = append(b, bytes.Repeat([]byte{0xa5}, hmac)...)
		b = append(b, 0, 0, 0, byte(number+1), 0x65, 0, 0, 0)
	}
	b = append(b, byte(len(acks)))
	for _, n := range acks {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	if len(acks) > 0 {
		b = append(b, ends[1-side]...)
	}
	if first>>3 == 5 {
		return b
	}
	return append(binary.BigEndian.AppendUint32(b, number), payload...)
}

func record(kind byte, b []byte) []byte {
	return append(append([]byte{kind, 3, 3}, byte(len(b)>>8), byte(len(b))), b...)
}

// clientHello asks for a server by name; serverHello answers.
func clientHello(name string) []byte {
	sni := append([]byte{0, 0, 0, byte(len(name) + 5), 0, byte(len(name) + 3), 0, 0, byte(len(name))}, name...)
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 2, 0xc0, 0x2b, 1, 0, 0, byte(len(sni)))
	body = append(body, sni...)
	return record(22, append([]byte{1, 0, 0, byte(len(body))}, body...))
}

func serverHello() []byte {
	body := append(append([]byte{3, 3}, make([]byte, 32)...), 0, 0xc0, 0x2b, 0)
	return record(22, append([]byte{2, 0, 0, byte(len(body))}, body...))
}

type said struct {
	side int
	b    []byte
}

// handshake is a session's, the hellos cut into packets of so many bytes.
func handshake(hmac, size int, reset byte) []said {
	list := []said{
		{0, say(reset<<3, 0, hmac, nil, 0, nil)},
		{1, say(8<<3, 1, hmac, []uint32{0}, 0, nil)},
		{0, say(5<<3, 0, hmac, []uint32{0}, 0, nil)},
	}
	for side, b := range [][]byte{clientHello("vpn.ward.example"), serverHello()} {
		number := uint32(1)
		for part := range slices.Chunk(b, size) {
			var acks []uint32
			if number == 1 {
				acks = []uint32{0}
			}
			list = append(list, said{side, say(4<<3, side, hmac, acks, number, part)})
			number++
		}
	}
	return list
}

func datagrams(list []said) *dissecttest.Result {
	var h []packet.Headers
	for _, x := range list {
		h = append(h, dissecttest.Datagram(x.side, [2]uint16{40000, 40001}, x.b))
	}
	return dissecttest.Play(dissect.Config{}, h)
}

func stream(list []said) (c dissecttest.Conversation) {
	for _, x := range list {
		c = append(c, dissecttest.Chunk{Side: x.side, Data: append(binary.BigEndian.AppendUint16(nil, uint16(len(x.b))), x.b...)})
	}
	return c
}

func label(r *dissecttest.Result) string {
	return r.Flows[0].Protocol + " " + r.Flows[0].By + " " + strings.Join(r.Flows[0].Inner, ",")
}

const both = `"sni":"vpn.ward.example"`

// Every layout, over UDP and TCP, however the hellos are cut.
func TestHandshake(t *testing.T) {
	for _, hmac := range []int{0, 16, 20, 28, 32, 48, 64} {
		for _, size := range []int{1000, 40, 9} {
			list := handshake(hmac, size, 7)
			r := datagrams(list)
			want := r.Text()
			if label(r) != "openvpn content tls" || !strings.Contains(want, both) || !strings.Contains(want, `"cipher":"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"`) || !strings.Contains(want, `"ja4":"t12d0101`) {
				t.Fatalf("HMAC of %d, packets of %d: %s\n%s%v", hmac, size, label(r), want, r.Counters)
			}
			if size == 1000 {
				if r := dissecttest.EveryCut(t, stream(list)); label(r) != "openvpn content tls" || len(r.Facts) != 2 {
					t.Fatalf("over TCP: %s\n%s", label(r), r.Text())
				}
			}
			// Packets overtake each other, and are sent again.
			mixed := slices.Clone(list[:3])
			for i := 3; i < len(list); i += 4 {
				part := slices.Clone(list[i:min(i+4, len(list))])
				slices.Reverse(part)
				mixed = append(append(mixed, part...), part[0])
			}
			if got := datagrams(mixed); len(got.Facts) != 2 || len(got.Counters) != 0 {
				t.Fatalf("HMAC of %d, packets of %d, out of order:\n%s%v", hmac, size, got.Text(), got.Counters)
			}
		}
	}
}

func TestKinds(t *testing.T) {
	begin := handshake(20, 1000, 7)
	other := handshake(20, 1000, 7)
	other[0].b = bytes.Replace(other[0].b, []byte(ends[0]), []byte("ANOTHER1"), 1)
	crypt := append([]byte{7 << 3}, "CLIENTID\x00\x00\x00\x01\x65\x00\x00\x00"...)
	crypt = append(crypt, bytes.Repeat([]byte{0xc7}, 37)...)
	for name, tc := range map[string]struct {
		list  []said
		facts int
		label string
	}{
		"version 3":                {handshake(0, 1000, 10), 2, "openvpn content tls"},
		"version 1, off its port":  {handshake(0, 1000, 1)[:1], 0, "  "},
		"a reset, then another":    {append(slices.Clone(other[:2]), begin...), 2, "openvpn content tls"},
		"the reset is sent twice":  {append(slices.Clone(begin[:1]), begin...), 2, "openvpn content tls"},
		"the server's reset lost":  {append(slices.Clone(begin[:1]), begin[3:]...), 2, "openvpn content tls"},
		"wrapped, off its port":    {[]said{{0, crypt}}, 0, "  "},
		"data ends it":             {append(append(slices.Clone(begin[:3]), said{0, []byte{9 << 3, 1, 2, 3}}), begin[3:]...), 0, "openvpn content "},
		"another key":              {append(slices.Clone(begin[:3]), said{0, say(4<<3|1, 0, 20, nil, 1, clientHello("x"))}, begin[3]), 0, "openvpn content "},
		"another's session":        {append(slices.Clone(begin[:3]), said{0, bytes.Replace(begin[3].b, []byte(ends[1]), []byte("ANOTHER1"), 1)}), 0, "openvpn content "},
		"too many acknowledgments": {[]said{{1, say(8<<3, 1, 0, make([]uint32, 9), 0, nil)}}, 0, "  "},
		"a packet is lost":         {append(slices.Clone(begin[:3]), said{0, say(4<<3, 0, 20, nil, 20, clientHello("vpn.ward.example"))}), 1, "openvpn content tls"},
	} {
		if r := datagrams(tc.list); label(r) != tc.label || len(r.Facts) != tc.facts {
			t.Errorf("%s: %q\n%s%v", name, label(r), r.Text(), r.Counters)
		}
	}
	h := []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 1194}, crypt), dissecttest.Datagram(0, [2]uint16{40000, 1194}, begin[3].b)}
	if r := dissecttest.Play(dissect.Config{}, h); label(r) != "openvpn content " || len(r.Facts) > 0 {
		t.Errorf("wrapped, on its port: %q\n%s", label(r), r.Text())
	}
}

// What Arkime's test expects of its capture, but for JA4's first letter over UDP: what
// goes through the tunnel's own reliable layer is TLS as over TCP, neither QUIC nor DTLS.
func TestArkime(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/arkime/pcap/openvpn_synthetic.pcap")))
	if len(r.Flows) != 4 || len(r.Of("tls", "certificate")) != 4 {
		t.Fatalf("%d flows\n%s", len(r.Flows), r.Text())
	}
	for _, f := range r.Of("tls", "client_hello") {
		for name, want := range map[string]string{"sni": "arkime.test", "ja3": "feb53fe05f3e7852942a6e3cb98e8b45", "ja4": "t12d030200_f81807f6db74_b9a491fefe05"} {
			if got := f.Attributes.Get(name); got != want {
				t.Errorf("%s %q, want %s", name, got, want)
			}
		}
	}
	for _, f := range r.Of("tls", "certificate") {
		if got := f.Attributes.Get("certificate_serial"); got != "eafe13b1b1f8cf87" {
			t.Errorf("serial %q", got)
		}
	}
}

var secrets = []string{"CANARY-ALFA-NAME", "PHI-CANARY-0002"}

// planted is a session with secrets wherever a text can be: in the client's certificate,
// in what is encrypted, in the data, in sessions' numbers and behind a reset.
func planted() []said {
	list := handshake(20, 1000, 7)
	secret := []byte(secrets[0] + " " + secrets[1])
	certificate := record(22, append([]byte{11, 0, 0, byte(len(secret) + 6), 0, 0, byte(len(secret) + 3), 0, 0, byte(len(secret))}, secret...))
	list = append(list,
		said{0, say(4<<3, 0, 20, nil, 2, certificate)}, said{0, say(4<<3, 0, 20, nil, 3, record(23, secret))},
		said{1, say(4<<3, 1, 20, nil, 2, record(23, secret))}, said{0, append([]byte{9 << 3, 0, 0, 1}, secret...)},
	)
	return list
}

func TestCanaries(t *testing.T) {
	list := planted()
	var h []packet.Headers
	for _, x := range list {
		h = append(h, dissecttest.Datagram(x.side, [2]uint16{40000, 1194}, x.b))
	}
	r := dissecttest.Play(dissect.Config{}, h)
	if hits := canary.Search(r.Everything(), secrets); len(hits) > 0 || len(r.Facts) != 2 {
		t.Errorf("%v in\n%s", hits, r.Everything())
	}
	dissecttest.NoLeak(t, secrets, stream(list))
	dissecttest.Planted(t, "openvpn", secrets, h, dissecttest.OnPort(1194, stream(list).Segments(true)))
}

func FuzzOpenVPN(f *testing.F) {
	for _, x := range handshake(20, 40, 7) {
		f.Add(x.b, x.b, 30)
	}
	f.Add(handshake(0, 1000, 7)[0].b, handshake(0, 1000, 7)[3].b, 9)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		list := []said{{0, handshake(0, 1000, 7)[0].b}, {0, a}, {1, b}, {0, b}}
		if r := datagrams(list); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
		if r := datagrams(list[1:]); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
		for _, x := range []string{string(a), string(b)} {
			if len(x) > 60000 {
				return
			}
		}
		c := stream(list)
		if r := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true)); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
