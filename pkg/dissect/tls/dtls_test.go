package tls_test

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

// What Arkime's, Zeek's and nDPI's own tests expect of their captures.
func TestDTLSPeers(t *testing.T) {
	for _, tc := range []struct{ file, kind, attribute, want string }{
		{"arkime/pcap/cloudshark-dtls1.pcap", "client_hello", "ja4", "dd1i440200_49bcda3e7ebf_18d1e47e0978"},
		{"arkime/pcap/cloudshark-dtls1.pcap", "certificate", "certificate_serial", "f1965d11e3ff07ee"},
		{"arkime/pcap/wireshark-dtls12.pcap", "client_hello", "ja4", "dd2i030300_f7e428980f70_6c817ce3d217"},
		{"zeek/Traces/tls/dtls1_0.pcap", "server_hello", "cipher", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"},
		{"zeek/Traces/tls/dtls1_0.pcap", "certificate", "certificate_sha256", "32e63ffcf5111a3a6337aa00d5186f6d475e962e9400a1dd8ad6eb4a3e177964"},
		{"zeek/Traces/tls/dtls1_2.pcap", "server_hello", "cipher", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
		{"zeek/Traces/tls/dtls1_2.pcap", "certificate", "certificate_sha256", "6f5446a5b23f4e73925de5e6629c09b1c61ed66537d6d8a7818750c9cd0a67d7"},
		{"zeek/Traces/tls/dtls13-cid.pcap", "server_hello", "cipher", "TLS_AES_128_GCM_SHA256"},
		{"zeek/Traces/tls/dtls13-wolfssl.pcap", "server_hello", "cipher", "TLS_AES_128_GCM_SHA256"},
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+tc.file)))
		var got []string
		for _, f := range r.Of("tls", tc.kind) {
			got = append(got, f.Attributes.Get(tc.attribute))
		}
		if !slices.Contains(got, tc.want) || r.Flows[0].Protocol != "dtls" {
			t.Errorf("%s %s: %q, want %s", tc.file, tc.attribute, got, tc.want)
		}
	}
}

// dtlsHello is a ClientHello with a cookie and a server's name, cut into fragments of so
// many bytes, one a record, all records in datagrams of their own.
func dtlsHello(size int) [][]byte {
	name := "pump.ward.example"
	sni := append([]byte{0, 0, 0, byte(len(name) + 5), 0, byte(len(name) + 3), 0, 0, byte(len(name))}, name...)
	body := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
	body = append(body, 0, 3, 1, 2, 3, 0, 2, 0xc0, 0x2b, 1, 0, 0, byte(len(sni)))
	body = append(body, sni...)
	var out [][]byte
	for at := 0; at < len(body); at += size {
		part := body[at:min(at+size, len(body))]
		m := []byte{1, 0, 0, byte(len(body)), 0, 1, 0, 0, byte(at), 0, 0, byte(len(part))}
		m = append(m, part...)
		record := append([]byte{22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, byte(at)}, binary.BigEndian.AppendUint16(nil, uint16(len(m)))...)
		out = append(out, append(record, m...))
	}
	return out
}

func playDatagrams(list ...[]byte) *dissecttest.Result {
	var h []packet.Headers
	for _, b := range list {
		h = append(h, dissecttest.Datagram(0, [2]uint16{40000, 40001}, b))
	}
	return dissecttest.Play(dissect.Config{}, h)
}

func TestDTLSFragments(t *testing.T) {
	want := playDatagrams(dtlsHello(255)...).Text()
	if !strings.Contains(want, `"sni":"pump.ward.example"`) || !strings.Contains(want, `"tls_version":"dtls1.2"`) || !strings.Contains(want, `"ja4":"dd2d0101`) {
		t.Fatal(want)
	}
	for size := 1; size < 90; size++ {
		list := dtlsHello(size)
		if size*64 < 80 {
			continue // more fragments than are kept
		}
		if got := playDatagrams(list...).Text(); got != want {
			t.Fatalf("fragments of %d: %s", size, got)
		}
		if got := playDatagrams(slices.Concat(list...)).Text(); got != want {
			t.Fatalf("fragments of %d in one datagram: %s", size, got)
		}
		if len(list) > 2 { // one lost, and all sent again
			if got := playDatagrams(append(slices.Delete(slices.Clone(list), 1, 2), list...)...).Text(); got != want {
				t.Fatalf("fragments of %d, sent again: %s", size, got)
			}
		}
	}
}

func TestNotDTLS(t *testing.T) {
	whole := dtlsHello(255)[0]
	for i := range whole {
		if r := playDatagrams(whole[:i]); r.Flows[0].Protocol == "dtls" && r.Flows[0].By == "content" {
			t.Errorf("cut at %d it is still DTLS", i)
		}
	}
	for _, b := range [][]byte{bytes.Repeat([]byte{22}, 60), append([]byte{22, 3, 3}, make([]byte, 40)...)} {
		if r := playDatagrams(b); r.Flows[0].Protocol == "dtls" {
			t.Errorf("% x is taken for DTLS", b)
		}
	}
}

// TestDTLSCanaries plants a name that is none, a cookie, and what is said after.
func TestDTLSCanaries(t *testing.T) {
	secrets := []string{"Canarella", "CANARY-ALFA cookie", "CANARY-ALFA data"}
	hello := func(size int) [][]byte {
		body := append(u16(0xfefd), make([]byte, 32)...)
		body = slices.Concat(body, short(), short([]byte(secrets[1])), long(u16(0xc02b)), short([]byte{0}), long(serverName("patient Canarella")))
		var out [][]byte
		for at := 0; at < len(body); at += size {
			part := body[at:min(at+size, len(body))]
			m := append([]byte{1, 0, 0, byte(len(body)), 0, 1, 0, 0, byte(at), 0, 0, byte(len(part))}, part...)
			out = append(out, slices.Concat([]byte{22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, byte(at)}, long(m)))
		}
		return out
	}
	data := slices.Concat([]byte{23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1}, long([]byte(secrets[2])))
	ports := [2]uint16{40000, 4433}
	var all [][]packet.Headers
	for _, size := range []int{200, 40} {
		list := append(hello(size), data)
		r := playDatagrams(list...)
		if hits := canary.Search(r.Everything(), secrets); len(hits) > 0 || len(r.Panics) > 0 || r.Flows[0].Protocol != "dtls" || len(r.Of("tls", "client_hello")) != 1 {
			t.Errorf("%d: %v %v %s", size, hits, r.Panics, r.Everything())
		}
		whole := make([]packet.Headers, 0, len(list))
		for _, b := range list {
			whole = append(whole, dissecttest.Datagram(0, ports, b))
		}
		all = append(all, whole, dissecttest.Datagrams(ports, list...))
	}
	dissecttest.Planted(t, "dtls", secrets, all...)
}

func FuzzDTLS(f *testing.F) {
	f.Add(slices.Concat(dtlsHello(255)...), slices.Concat(dtlsHello(20)...))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if r := playDatagrams(a, b, a); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
