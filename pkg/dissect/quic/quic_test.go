package quic_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/quic"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

var (
	web       = [2]uint16{50000, 443}
	elsewhere = [2]uint16{50000, 50001}
	clientID  = []byte("\x83\x94\xc8\xf0\x3e\x51\x57\x08")
	serverID  = []byte("\xf0\x67\xa5\x50\x2a\x42\x62\xb5")
)

const (
	v1 = 1
	v2 = 0x6b3343cf
)

// The keys of RFC 9001 A.1 and RFC 9369 A.1.
func TestKeys(t *testing.T) {
	for number, want := range map[uint32][2][3]string{
		v1: {{"1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2"}, {"cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e", "c206b8d9b9f0f37644430b490eeaa314"}},
		v2: {{"8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9"}, {"82db637861d55e1d011f19ea71d5d2a7", "dd13c276499c0249d3310652", "edf6d05c83121201b436e16877593c3a"}},
	} {
		for i, side := range quic.Keys(number, clientID) {
			for j, k := range side {
				if got := hex.EncodeToString(k); got != want[i][j] {
					t.Errorf("version %x, side %d, key %d: %s, want %s", number, i, j, got, want[i][j])
				}
			}
		}
	}
}

func u16(b []byte, v string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(v))), v...)
}

// clientHello is a ClientHello with a name, ALPN h3 and a user agent among the
// transport parameters.
func clientHello(name string) []byte {
	x := []byte{3, 3}
	x = append(x, make([]byte, 32)...)
	x = append(x, 0)
	x = u16(x, "\x13\x01\x13\x02\x13\x03")
	x = append(x, 1, 0)
	ext := func(kind uint16, v string) string {
		return string(u16(binary.BigEndian.AppendUint16(nil, kind), v))
	}
	sni := string(u16(nil, string(u16([]byte{0}, name))))
	all := ext(0, sni) + ext(16, "\x00\x03\x02h3") + ext(43, "\x02\x03\x04") + ext(10, "\x00\x02\x00\x1d") + ext(57, "\x71\x29\x09Browser/1")
	x = u16(x, all)
	return append([]byte{1, 0, byte(len(x) >> 8), byte(len(x))}, x...)
}

func serverHello() []byte {
	x := append([]byte{3, 3}, bytes.Repeat([]byte{7}, 32)...)
	x = append(x, 0, 0x13, 0x01, 0)
	x = u16(x, "\x00\x2b\x00\x02\x03\x04")
	return append([]byte{2, 0, byte(len(x) >> 8), byte(len(x))}, x...)
}

// crypto is a CRYPTO frame.
func crypto(offset int, data []byte) []byte {
	b := []byte{6, 0x40 | byte(offset>>8), byte(offset), 0x40 | byte(len(data)>>8), byte(len(data))}
	return append(b, data...)
}

func pad(b []byte, n int) []byte { return append(b, make([]byte, max(0, n-len(b)))...) }

// initial is a protected Initial packet. keyID is what the keys come from.
func initial(version uint32, side int, keyID, dst, src []byte, number byte, payload []byte) []byte {
	first := byte(0xc0)
	if version == v2 {
		first = 0xd0
	}
	h := binary.BigEndian.AppendUint32([]byte{first}, version)
	h = append(append(h, byte(len(dst))), dst...)
	h = append(append(h, byte(len(src))), src...)
	h = append(h, 0, 0, 0, number) // no token, two bytes of length
	return quic.Protect(version, keyID, side, h, payload)
}

// long is another packet with a long header.
func long(first byte, version uint32, dst, src []byte, rest ...byte) []byte {
	h := binary.BigEndian.AppendUint32([]byte{first}, version)
	h = append(append(h, byte(len(dst))), dst...)
	h = append(append(h, byte(len(src))), src...)
	return append(h, rest...)
}

type said dissecttest.Chunk

func play(ports [2]uint16, list ...said) *dissecttest.Result {
	return dissecttest.PlayDatagrams(ports, list...)
}

func lines(r *dissecttest.Result) []string { return r.Lines(dissecttest.KindSide) }

// The fingerprints are the hashes of "771,4865-4866-4867,0-16-43-10-57,29,",
// "000a,002b,0039" and "771,4865,43".
const (
	hello1 = `client_hello 0 {"alpn":["h3"],"ja3":"927b58907a549374d738428cb1672124","ja4":"q13d0305h3_55b375c5d22e_6e5aa5b2101a","quic_version":"1","role":"client","sni":"pacs.hosp.example","tls_version":"1.3","tls_versions":["1.3"],"user_agent":"Browser/1"}`
	reply1 = `server_hello 1 {"cipher":"TLS_AES_128_GCM_SHA256","ja3s":"cce84e7a8b742462e40afb585a3e3ccc","quic_version":"1","role":"server","tls_version":"1.3"}`
)

func TestConnections(t *testing.T) {
	hello := clientHello("PACS.hosp.example")
	two := strings.Replace(hello1, `"quic_version":"1"`, `"quic_version":"2"`, 1)
	reply := initial(v1, 1, clientID, nil, serverID, 0, append([]byte{2, 0, 0, 0, 0}, crypto(0, serverHello())...))
	for _, tc := range []struct {
		name string
		list []said
		want []string
	}{
		{"both hellos", []said{{0, initial(v1, 0, clientID, clientID, nil, 0, pad(crypto(0, hello), 1200))}, {1, reply}}, []string{hello1, reply1}},
		{"version 2", []said{{0, initial(v2, 0, clientID, clientID, nil, 0, pad(crypto(0, hello), 1200))}}, []string{two}},
		{"in pieces, the last one first", []said{
			{0, initial(v1, 0, clientID, clientID, nil, 1, pad(crypto(60, hello[60:]), 1200))}, {0, initial(v1, 0, clientID, clientID, nil, 0, pad(append(crypto(30, hello[30:70]), append([]byte{1}, crypto(0, hello[:30])...)...), 1200))},
		}, []string{hello1}},
		{"a piece is missing", []said{{0, initial(v1, 0, clientID, clientID, nil, 0, pad(append(crypto(0, hello[:30]), crypto(40, hello[40:])...), 1200))}}, nil},
		{"coalesced", []said{{0, initial(v1, 0, clientID, clientID, nil, 0, pad(crypto(0, hello), 300))}, {1, append(slices.Clone(reply), long(0xe0, v1, nil, serverID, 0x40, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)...)}}, []string{hello1, reply1}},
		{"after a Retry", []said{
			{0, initial(v1, 0, clientID, clientID, nil, 0, pad(crypto(0, hello), 1200))},
			{1, long(0xf0, v1, nil, serverID, make([]byte, 40)...)},
			{0, initial(v1, 0, serverID, serverID, nil, 0, pad(crypto(0, hello), 1200))},
			{1, initial(v1, 1, serverID, nil, serverID, 0, crypto(0, serverHello()))},
		}, []string{hello1, `retry 1 {"quic_version":"1","role":"server"}`, reply1}},
		{"both agree on version 2", []said{
			{0, initial(v1, 0, clientID, clientID, nil, 0, pad(crypto(0, hello), 1200))},
			{1, initial(v2, 1, clientID, nil, serverID, 0, crypto(0, serverHello()))},
		}, []string{hello1, strings.Replace(reply1, `"quic_version":"1"`, `"quic_version":"2"`, 1)}},
		{"versions", []said{{1, long(0x80, 0, clientID, serverID, 0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf, 0x1a, 0x2a, 0x3a, 0x4a, 9, 9, 9, 9, 0xff, 0, 0, 29)}}, []string{`version_negotiation 0 {"quic_versions":["1","2","other","draft-29"],"role":"server"}`}},
		{"the server alone", []said{{1, reply}}, nil},
		{"another's keys", []said{{0, initial(v1, 0, serverID, clientID, nil, 0, pad(crypto(0, hello), 1200))}}, nil},
		{"no name to tell", []said{{0, initial(v1, 0, clientID, clientID, nil, 0, pad(crypto(0, clientHello("Nobody's server")), 1200))}}, []string{strings.Replace(hello1, `"sni":"pacs.hosp.example",`, "", 1)}},
	} {
		for _, ports := range [][2]uint16{web, elsewhere} {
			r := play(ports, tc.list...)
			if got := lines(r); !slices.Equal(got, tc.want) || len(r.Panics) > 0 {
				t.Errorf("%s: panics %v, got\n%s\nwant\n%s", tc.name, r.Panics, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			if f := r.Flows[0]; f.Protocol != "quic" || f.By != proto.ByContent {
				t.Errorf("%s: %s by %s", tc.name, f.Protocol, f.By)
			}
			if bytes.Contains(r.Everything(), []byte("obody")) || r.Counters["quic_frame_malformed"] > 0 {
				t.Errorf("%s: %s", tc.name, r.Everything())
			}
		}
	}
}

// chlo is a hello of Google's own handshake.
func chlo(tags ...string) []byte {
	b := append([]byte("CHLO"), byte(len(tags)/2), 0, 0, 0)
	end, values := 0, ""
	for i := 0; i < len(tags); i += 2 {
		end += len(tags[i+1])
		values += tags[i+1]
		b = binary.LittleEndian.AppendUint32(append(b, tags[i]...), uint32(end))
	}
	return append(b, values...)
}

func TestGoogle(t *testing.T) {
	hello := chlo("PAD\x00", "----", "SNI\x00", "www.Maker.example", "UAID", "Chrome/53 Windows NT 6.1")
	want := `client_hello 0 {"quic_version":"%s","role":"client","sni":"www.maker.example","user_agent":"Chrome/53 Windows NT 6.1"}`
	for _, tc := range []struct {
		name, version string
		b             []byte
	}{
		{"Q034", "Q034", slices.Concat([]byte{0x0d}, clientID, []byte("Q034\x01"), make([]byte, 12), []byte{0xa0, 1, 0, 4}, hello)},
		{"Q046", "Q046", slices.Concat([]byte{0xc3}, []byte("Q046\x50"), clientID, make([]byte, 16), []byte{0xa0, 1, 0, 4}, hello)},
		{"Q050", "Q050", initial(0x51303530, 0, clientID, clientID, nil, 0, pad(append([]byte{8, 0, 0x40, byte(len(hello))}, hello...), 1200))},
	} {
		r := play(web, said{0, tc.b})
		if got := lines(r); len(got) != 1 || got[0] != fmt.Sprintf(want, tc.version) || r.Flows[0].By != proto.ByContent {
			t.Errorf("%s: %q by %s, %v", tc.name, got, r.Flows[0].By, r.Counters)
		}
	}
	r := play([2]uint16{443, 50000}, said{0, slices.Concat([]byte{0, 1}, make([]byte, 16), []byte("REJ\x00\x07\x00\x00\x00"), make([]byte, 60))})
	if r.Flows[0].By != proto.ByContent || len(r.Facts) > 0 {
		t.Errorf("a rejection: %+v", r.Flows[0])
	}
}

func TestRefused(t *testing.T) {
	h := dissecttest.Datagram(0, elsewhere, nil)
	c := &dissector.Context{Headers: &h}
	for name, b := range map[string][]byte{
		"a version that nobody has": long(0xc0, 7, clientID, nil, pad(nil, 1200)...),
		"one to be refused, short":  long(0xc0, 0x1a2a3a4a, clientID, nil, pad(nil, 1000)...),
		"a long id":                 long(0xc0, v1, make([]byte, 21), nil, pad(nil, 1200)...),
		"a length beyond the end":   long(0xc0, v1, clientID, nil, 0, 0x7f, 0xff, 0, 0, 0),
		"without the fixed bit":     long(0x80, v1, clientID, nil, 0, 4, 0, 0, 0, 0),
		"no version that is known":  long(0x80, 0, clientID, nil, 9, 9, 9, 9),
		"versions cut":              long(0x80, 0, clientID, nil, 0, 0, 0, 1, 0),
		"RTP":                       {0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 4},
		"DNS":                       []byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x00\x00\x01\x00\x01"),
		"a short header":            append([]byte{0x40}, make([]byte, 60)...),
	} {
		if n := testing.AllocsPerRun(10, func() {
			if quic.Protocol.Datagram(c, b, false) != dissector.No {
				t.Errorf("%s is not refused", name)
			}
		}); n != 0 {
			t.Errorf("%s costs %v allocations", name, n)
		}
	}
	if r := play(elsewhere, said{0, long(0xc0, 0x1a2a3a4a, clientID, nil, pad(nil, 1200)...)}); r.Flows[0].By != proto.ByContent {
		t.Error("a client that forces a negotiation is not known")
	}
}

// Only the names, the program and the fingerprint of a hello leave.
func TestCanaries(t *testing.T) {
	secrets := []string{"Canarella"}
	s := canary.New(secrets)
	hello := clientHello("patient Canarella")
	for cut := range len(hello) {
		r := play(web, said{0, initial(v1, 0, clientID, clientID, nil, 0, pad(crypto(0, hello[:cut]), 1200))})
		if hits := s.Search(r.Everything()); len(hits) > 0 {
			t.Fatalf("cut at %d: %v", cut, hits)
		}
	}
	g := slices.Concat([]byte{0x0d}, clientID, []byte("Q034\x01"), make([]byte, 12), chlo("SNI\x00", "of Canarella", "UAID", "Canarella@home", "COPT", "Canarella"))
	dissecttest.Planted(t, "quic", secrets, []packet.Headers{dissecttest.Datagram(0, web, g), dissecttest.Datagram(0, web, initial(v1, 0, clientID, clientID, nil, 0, pad(crypto(0, hello), 1200)))})
	for cut := range len(g) {
		if hits := s.Search(play(web, said{0, g[:cut]}).Everything()); len(hits) > 0 {
			t.Fatalf("Google, cut at %d: %v", cut, hits)
		}
	}
}

// A flow is read no longer than its hellos take, and keeps a bounded amount.
func TestBounds(t *testing.T) {
	var list []said
	for i := range 600 {
		list = append(list, said{0, initial(v1, 0, clientID, clientID, nil, byte(i), pad(crypto(37*i%16000+1, []byte("x")), 1200))})
	}
	r := play(web, list...)
	if len(r.Facts) > 0 || len(r.Panics) > 0 || r.Flows[0].By != proto.ByContent {
		t.Errorf("%s", r.Everything())
	}
}

func FuzzDatagrams(f *testing.F) {
	hello := clientHello("pacs.hosp.example")
	f.Add(initial(v1, 0, clientID, clientID, nil, 0, pad(crypto(0, hello), 300)), initial(v1, 1, clientID, nil, serverID, 0, crypto(0, serverHello())))
	f.Add(slices.Concat([]byte{0x0d}, clientID, []byte("Q034\x01"), make([]byte, 12), chlo("SNI\x00", "x.y", "UAID", "z")), long(0x80, 0, clientID, serverID, 0, 0, 0, 1))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if r := play(web, said{0, a}, said{1, b}, said{0, b}); len(r.Panics) > 0 || len(r.Facts) > 4 {
			t.Fatal(r.Panics, len(r.Facts))
		}
	})
}

// FuzzFrames protects what it gets, so that the frames and the hello are reached.
func FuzzFrames(f *testing.F) {
	f.Add(crypto(0, clientHello("pacs.hosp.example")))
	f.Add(append([]byte{3, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 0x1c, 0, 0, 1, 'x'}, crypto(5, serverHello())...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1200 {
			return
		}
		r := play(web, said{0, initial(v1, 0, clientID, clientID, nil, 0, pad(b, 64))}, said{1, initial(v1, 1, clientID, nil, serverID, 0, pad(b, 64))})
		if len(r.Panics) > 0 || len(r.Facts) > 2 {
			t.Fatal(r.Panics, len(r.Facts))
		}
	})
}
