package tls_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/proto"
)

// record wraps content in records of at most size bytes.
func record(kind byte, content []byte, size int) []byte {
	var b []byte
	for {
		n := min(size, len(content))
		b = append(b, kind, 3, 1, byte(n>>8), byte(n))
		b = append(b, content[:n]...)
		if content = content[n:]; len(content) == 0 {
			return b
		}
	}
}

func message(kind byte, parts ...[]byte) []byte {
	b := slices.Concat(parts...)
	return append([]byte{kind, byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
}

func short(parts ...[]byte) []byte { // with a length of one byte before
	b := slices.Concat(parts...)
	return append([]byte{byte(len(b))}, b...)
}

func long(parts ...[]byte) []byte { // with a length of two bytes before
	b := slices.Concat(parts...)
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func u16(list ...uint16) []byte {
	var b []byte
	for _, v := range list {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

func ext(kind uint16, parts ...[]byte) []byte { return append(u16(kind), long(parts...)...) }

func serverName(s string) []byte { return ext(0, long([]byte{0}, long([]byte(s)))) }

func alpn(list ...string) []byte {
	var b []byte
	for _, s := range list {
		b = append(b, short([]byte(s))...)
	}
	return ext(16, long(b))
}

func clientHello(version uint16, ciphers []uint16, extensions ...[]byte) []byte {
	return message(1, u16(version), bytes.Repeat([]byte{7}, 32), short(), long(u16(ciphers...)), short([]byte{0}), long(extensions...))
}

func serverHello(version, cipher uint16, extensions ...[]byte) []byte {
	return message(2, u16(version), bytes.Repeat([]byte{8}, 32), short(), u16(cipher), []byte{0}, long(extensions...))
}

func play(parts ...[]byte) *dissecttest.Result {
	var c dissecttest.Conversation
	for i, p := range parts {
		if len(p) > 0 {
			c = append(c, dissecttest.Chunk{Side: i % 2, Data: p})
		}
	}
	return dissecttest.Play(dissect.Config{}, c.Segments(true))
}

func one(t *testing.T, r *dissecttest.Result, kind string) dissecttest.Fact {
	t.Helper()
	list := r.Of("tls", kind)
	if len(list) != 1 {
		t.Fatalf("%d facts %s in\n%s%v", len(list), kind, r.Text(), r.Counters)
	}
	return list[0]
}

// hello is what the tables below start from.
func hello() []byte {
	return clientHello(0x0303, []uint16{0x1a1a, 0x1301, 0xc02f}, ext(0x2a2a), serverName("PACS.example.org"), alpn("h2", "http/1.1"),
		ext(10, long(u16(0x3a3a, 29, 23))), ext(11, short([]byte{0})), ext(13, long(u16(0x0403, 0x0804))), ext(43, short(u16(0x4a4a, 0x0304, 0x0303))))
}

func TestClientHello(t *testing.T) {
	f := one(t, play(record(22, hello(), 1<<14)), "client_hello")
	sum := hex.EncodeToString
	ja3 := md5.Sum([]byte("771,4865-49199,0-16-10-11-13-43,29-23,0"))
	ciphers, extensions := sha256.Sum256([]byte("1301,c02f")), sha256.Sum256([]byte("000a,000b,000d,002b_0403,0804"))
	for name, want := range map[string]string{
		"role": "client", "sni": "pacs.example.org", "tls_version": "1.3",
		"ja3": sum(ja3[:]), "ja4": "t13d0206h2_" + sum(ciphers[:6]) + "_" + sum(extensions[:6]),
	} {
		if got := f.Attributes.Get(name); got != want {
			t.Errorf("%s %q, want %q", name, got, want)
		}
	}
	if got := fmt.Sprint(f.Attributes.List("alpn"), f.Attributes.List("tls_versions")); got != "[h2 http/1.1] [1.3 1.2]" {
		t.Error(got)
	}
	if f.Subject.Side != dissect.Src {
		t.Error("the client's hello is about the client")
	}
}

// GREASE changes neither fingerprint, the order of extensions only JA3.
func TestGrease(t *testing.T) {
	get := func(h []byte) (ja3, ja4 string) {
		f := one(t, play(record(22, h, 1<<14)), "client_hello")
		return f.Attributes.Get("ja3"), f.Attributes.Get("ja4")
	}
	groups, formats, name := ext(10, long(u16(29, 23))), ext(11, short([]byte{0})), serverName("a.b")
	a3, a4 := get(clientHello(0x0303, []uint16{0x1301, 0xc02f}, name, groups, formats))
	b3, b4 := get(clientHello(0x0303, []uint16{0xdada, 0x1301, 0xc02f}, ext(0x0a0a), name, ext(10, long(u16(0xfafa, 29, 23))), formats, ext(0xbaba, []byte{0})))
	if a3 != b3 || a4 != b4 {
		t.Errorf("GREASE: %s %s, %s %s", a3, b3, a4, b4)
	}
	c3, c4 := get(clientHello(0x0303, []uint16{0xc02f, 0x1301}, formats, groups, name))
	if a3 == c3 || a4 != c4 {
		t.Errorf("order: %s %s, %s %s", a3, c3, a4, c4)
	}
}

func TestJA4Parts(t *testing.T) {
	many := make([]uint16, 150)
	for i := range many {
		many[i] = 0x1000 + uint16(i)
	}
	for _, tc := range []struct {
		name  string
		hello []byte
		want  string
	}{
		{"nothing", message(1, u16(0x0301), make([]byte, 32), short(), long(u16(0x002f)), short([]byte{0})), "t10i010000_"},
		{"no ciphers", clientHello(0x0303, nil, serverName("a.b")), "t12d000100_000000000000_000000000000"},
		{"SSL 3.0", clientHello(0x0300, []uint16{1}), "ts3i010000_"},
		{"more than 99", clientHello(0x0303, many), "t12i990000_"},
		{"one character", clientHello(0x0303, []uint16{1}, alpn("h")), "t12i0101hh_"},
		{"HTTP/1.1", clientHello(0x0303, []uint16{1}, alpn("http/1.1", "h2")), "t12i0101h1_"},
		// The examples of JA4.md for values that are not alphanumeric.
		{"ab", clientHello(0x0303, []uint16{1}, alpn("\xab")), "t12i0101ab_"},
		{"abcd", clientHello(0x0303, []uint16{1}, alpn("\xab\xcd")), "t12i0101ad_"},
		{"30ab", clientHello(0x0303, []uint16{1}, alpn("\x30\xab")), "t12i01013b_"},
		{"30313233ab", clientHello(0x0303, []uint16{1}, alpn("\x30\x31\x32\x33\xab")), "t12i01013b_"},
		{"empty ALPN list", clientHello(0x0303, []uint16{1}, ext(16, long())), "t12i010100_"},
		{"unknown version", clientHello(0x0303, []uint16{1}, ext(43, short(u16(0x7f1c)))), "t00i010100_"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := one(t, play(record(22, tc.hello, 1<<14)), "client_hello").Attributes.Get("ja4"); !strings.HasPrefix(got, tc.want) {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

// A hello may go over several records, share one, and come after others.
func TestRecords(t *testing.T) {
	want := play(record(22, hello(), 1<<14)).Text()
	for _, size := range []int{1, 2, 3, 5, 17, 100} {
		if got := play(record(22, hello(), size)).Text(); got != want {
			t.Errorf("records of %d bytes: %s", size, got)
		}
	}
	r := play(record(22, hello(), 1<<14), record(22, slices.Concat(serverHello(0x0303, 0xc02f, alpn("h2")), message(14)), 30))
	f := one(t, r, "server_hello")
	if got := f.Attributes.Get("cipher") + " " + f.Attributes.Get("tls_version"); got != "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 1.2" || f.Subject.Side != dissect.Dst {
		t.Error(got, f.Subject)
	}
}

// After a HelloRetryRequest the server's own hello counts, even behind a change
// cipher spec, and of the client its first.
func TestHelloRetry(t *testing.T) {
	retry := serverHello(0x0303, 0x1301, ext(43, u16(0x0304)))
	copy(retry[6:], []byte{
		0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
		0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
	})
	ccs := record(20, []byte{1}, 1)
	r := play(record(22, hello(), 1<<14), append(record(22, retry, 1<<14), ccs...), append(slices.Clone(ccs), record(22, hello(), 1<<14)...),
		record(22, serverHello(0x0303, 0x1302, ext(51, make([]byte, 36)), ext(43, u16(0x0304))), 1<<14))
	one(t, r, "client_hello")
	if f := one(t, r, "server_hello"); f.Attributes.Get("cipher") != "TLS_AES_256_GCM_SHA384" || f.Attributes.Get("tls_version") != "1.3" {
		t.Error(r.Text())
	}
}

func TestBroken(t *testing.T) {
	for _, tc := range []struct {
		name    string
		parts   [][]byte
		counter string
	}{
		{"length of ciphers", [][]byte{record(22, message(1, u16(0x0303), make([]byte, 32), short(), u16(999)), 1<<14)}, "tls_hello_malformed"},
		{"length of extensions", [][]byte{record(22, message(1, u16(0x0303), make([]byte, 32), short(), long(u16(1)), short([]byte{0}), u16(40), make([]byte, 8)), 1<<14)}, "tls_hello_malformed"},
		{"a hello of 60 KB", [][]byte{record(22, clientHello(0x0303, []uint16{1}, ext(21, make([]byte, 60000))), 1<<14)}, "tls_hello_long"},
		{"answered in clear", [][]byte{record(22, hello(), 1<<14), []byte("HTTP/1.1 400 Bad Request\r\n\r\n")}, "tls_not_a_record"},
		{"SSL 2.0", [][]byte{slices.Concat([]byte{0x80, 0x2e, 1, 0, 2, 0, 21, 0, 0, 0, 16}, make([]byte, 37))}, "tls_sslv2_hello"},
		{"not a name", [][]byte{record(22, clientHello(0x0303, []uint16{1}, serverName("a b\x00c")), 1<<14)}, "tls_sni_withheld"},
		{"not a certificate", [][]byte{record(22, hello(), 1<<14), record(22, append(serverHello(0x0303, 1), message(11, []byte{0, 0, 8, 0, 0, 5, 1, 2, 3, 4, 5})...), 1<<14)}, "tls_certificate_malformed"},
		{"a client's certificate", [][]byte{record(22, append(hello(), message(11, []byte{0, 0, 0})...), 1<<14)}, "tls_client_certificate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := play(tc.parts...)
			if r.Counters[tc.counter] != 1 || len(r.Panics) > 0 || r.Flows[0].Protocol != "tls" || r.Flows[0].By != proto.ByContent {
				t.Errorf("%v %v %+v", r.Counters, r.Panics, r.Flows[0])
			}
		})
	}
}

func TestNotTLS(t *testing.T) {
	for _, s := range []string{"\x16\x03\x01\x00\x05\x03", "\x16\x02\x01\x00\x05\x01", "\x16\x03\x01\x00\x00\x01\x00\x00", "\x17\x03\x03\x00\x20aaaa", "\x80\x2e\x01\x00\x02\x00\x16aaaaaaaaaaaaaaa", "\x16\x03\x01\x02\x00\x01\x01\x00\x00"} {
		if r := play([]byte(s)); r.Flows[0].Protocol == "tls" {
			t.Errorf("%q is taken for TLS", s)
		}
	}
}

// A connection whose beginning was missed is known by its records.
func TestMidstream(t *testing.T) {
	c := dissecttest.Conversation{{Side: 0, Data: record(23, make([]byte, 400), 1<<14)}}
	c[0].Data[2] = 3
	for _, data := range [][]byte{c[0].Data, record(21, make([]byte, 26), 64)} {
		c[0].Data = data
		if r := dissecttest.Play(dissect.Config{}, c.Segments(false)); r.Flows[0].Protocol != "tls" || r.Flows[0].By != proto.ByContent {
			t.Errorf("%x: %+v", data, r.Flows[0])
		}
		if r := dissecttest.Play(dissect.Config{}, c.Segments(true)); r.Flows[0].Protocol == "tls" {
			t.Errorf("%x begins no connection", data)
		}
	}
}

// conversation records a real handshake of crypto/tls over a pipe.
func conversation(t testing.TB, cfg *tls.Config, client *tls.Config, after int) dissecttest.Conversation {
	t.Helper()
	var mu sync.Mutex
	var c dissecttest.Conversation
	a, b := net.Pipe()
	tap := func(side int, conn net.Conn) net.Conn {
		return &tapped{Conn: conn, wrote: func(p []byte) {
			mu.Lock()
			defer mu.Unlock()
			c = append(c, dissecttest.Chunk{Side: side, Data: bytes.Clone(p)})
		}}
	}
	cfg.SessionTicketsDisabled = true
	server, peer := tls.Server(tap(1, b), cfg), tls.Client(tap(0, a), client)
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, server)
		done <- err
	}()
	for range after/4096 + 1 {
		if _, err := peer.Write(make([]byte, 4096)); err != nil {
			t.Error(err)
		}
	}
	if err := peer.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	_ = b.Close()
	return c
}

type tapped struct {
	net.Conn
	wrote func([]byte)
}

func (x *tapped) Write(p []byte) (int, error) {
	x.wrote(p)
	return x.Conn.Write(p)
}

// certify makes a certificate of its own.
func certify(t testing.TB, x *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func device() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(0x1234), Subject: pkix.Name{CommonName: "ct1.ward.example", Organization: []string{"ACME Imaging"}, OrganizationalUnit: []string{"CT"}},
		NotBefore: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), NotAfter: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames: []string{"ct1", "ct1.ward.example"}, IPAddresses: []net.IP{net.IPv4(10, 1, 2, 3)}, EmailAddresses: []string{"canary.alfa@example.org"},
	}
}

func TestCertificate(t *testing.T) {
	client := &tls.Config{InsecureSkipVerify: true, ServerName: "ct1.ward.example"}
	r := dissecttest.Play(dissect.Config{}, conversation(t, &tls.Config{Certificates: []tls.Certificate{certify(t, device())}, MaxVersion: tls.VersionTLS12}, client, 0).Segments(true))
	f := one(t, r, "certificate")
	for name, want := range map[string]string{
		"certificate_subject": "ct1.ward.example", "certificate_organization": "ACME Imaging", "certificate_unit": "CT", "certificate_issuer": "ct1.ward.example", "certificate_serial": "1234",
		"certificate_not_before": "2020-01-02T03:04:05Z", "certificate_not_after": "2040-01-01T00:00:00Z", "certificate_self_signed": "true",
		"certificate_key_type": "ecdsa", "certificate_key_bits": "256", "certificate_signature": "ECDSA-SHA256", "role": "server",
	} {
		if got := f.Attributes.Get(name); got != want {
			t.Errorf("%s %q, want %q", name, got, want)
		}
	}
	if got := fmt.Sprint(f.Attributes.List("certificate_names")); got != "[ct1 ct1.ward.example 10.1.2.3]" || f.Subject.Side != dissect.Dst {
		t.Error(got, f.Subject)
	}
	if strings.Contains(string(r.Everything()), "canary") {
		t.Error("a mail address leaves")
	}
	// TLS 1.3 encrypts it.
	r = dissecttest.Play(dissect.Config{}, conversation(t, &tls.Config{Certificates: []tls.Certificate{certify(t, device())}}, client, 0).Segments(true))
	if len(r.Of("tls", "certificate")) > 0 || one(t, r, "server_hello").Attributes.Get("tls_version") != "1.3" {
		t.Error(r.Text())
	}
}

// TestCanaries plants what nobody's device is called: a name that is none, the rest of
// the extensions, the session and what is said after it.
func TestCanaries(t *testing.T) {
	const name, secret = "patient Canarella", "CANARY-ALFA-SECRET-IN-THE-SESSION"
	secrets := []string{"Canarella", secret}
	h := message(1, u16(0x0303), bytes.Repeat([]byte{7}, 32), short([]byte(secret[:32])), long(u16(0x1301, 0xc02f)), short([]byte{0}), long(serverName(name), ext(35, []byte(secret)), ext(21, []byte(secret)), ext(0xfe0d, []byte(secret))))
	answer := message(2, u16(0x0303), bytes.Repeat([]byte{8}, 32), short([]byte(secret[:32])), u16(0xc02f), []byte{0}, long(ext(35, []byte(secret))))
	c := dissecttest.Conversation{
		{Side: 0, Data: record(22, h, 1<<14)},
		{Side: 1, Data: record(22, answer, 1<<14)},
		{Side: 1, Data: record(22, message(4, []byte(secret)), 1<<14)},
		{Side: 0, Data: record(23, []byte(secret), 1<<14)},
		{Side: 1, Data: record(23, []byte(secret), 1<<14)},
	}
	dissecttest.NoLeak(t, secrets, c)
	dissecttest.PlantedTalks(t, "tls", 9999, secrets, c)
}

// Once both sides have said what is in clear, no segment is put together any more.
func TestStops(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS12, tls.VersionTLS13} {
		c := conversation(t, &tls.Config{Certificates: []tls.Certificate{certify(t, device())}, MinVersion: tls.VersionTLS10, MaxVersion: version},
			&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10}, 1<<20)
		r := dissecttest.Play(dissect.Config{}, c.Segments(true))
		if n := r.Counters["tcp_segments"]; n > 8 || len(c) < 200 {
			t.Errorf("version %x: %d of %d segments were read", version, n, len(c))
		}
		if one(t, r, "server_hello"); len(r.Panics) > 0 {
			t.Error(r.Panics)
		}
	}
}
