package ike_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// part is a payload: its kind and what stands in it.
type part struct {
	kind byte
	body []byte
}

// message is one of a version (0x10, 0x20), an exchange and flags.
func message(version, exchange, flags byte, list ...part) []byte {
	b := append([]byte("COOKIE-A\x01\x02\x03\x04\x05\x06\x07\x08"), 0, version, exchange, flags, 0, 0, 0, 0, 0, 0, 0, 0)
	if len(list) > 0 {
		b[16] = list[0].kind
	}
	for i, p := range list {
		next := byte(0)
		if i+1 < len(list) {
			next = list[i+1].kind
		}
		b = append(binary.BigEndian.AppendUint16(append(b, next, 0), uint16(4+len(p.body))), p.body...)
	}
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	return b
}

// certify makes a certificate of a name, for hosts and mail addresses; the same each time.
func certify(t testing.TB, name string, hosts, mail []string) []byte {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	x := &x509.Certificate{SerialNumber: big.NewInt(0x1234), Subject: pkix.Name{CommonName: name}, DNSNames: hosts, EmailAddresses: mail, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<31, 0)}
	der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{4}, der...)
}

type said struct {
	side int
	b    []byte
}

func play(port uint16, list ...said) *dissecttest.Result {
	var h []packet.Headers
	for _, x := range list {
		h = append(h, dissecttest.Datagram(x.side, [2]uint16{port, port}, x.b))
	}
	return dissecttest.Play(dissect.Config{}, h)
}

func TestCertificates(t *testing.T) {
	gateway, person := certify(t, "vpn.ward.example", nil, nil), certify(t, "Anna Alfa", nil, []string{"anna@ward.example"})
	noise := part{1, make([]byte, 20)}
	for name, tc := range map[string]struct {
		list []said
		want string // role of what is told, or the counter
	}{
		"aggressive, the answer":           {[]said{{0, message(0x10, 4, 0, noise)}, {1, message(0x10, 4, 0, noise, part{6, gateway})}}, "server"},
		"main mode, who asks":              {[]said{{0, message(0x10, 2, 0, part{6, gateway})}}, "client"},
		"sent again":                       {[]said{{0, message(0x10, 2, 0, part{6, gateway})}, {0, message(0x10, 2, 0, part{6, gateway})}}, "client"},
		"version 2, who asks":              {[]said{{0, message(0x20, 34, 8, part{33, make([]byte, 8)}, part{37, gateway})}}, "client"},
		"version 2, the answer":            {[]said{{0, message(0x20, 34, 0x20, part{37, gateway})}}, "server"},
		"one that is named otherwise":      {[]said{{0, message(0x10, 4, 0, part{6, certify(t, "gateway", []string{"gateway"}, nil)})}}, "client"},
		"an address":                       {[]said{{0, message(0x10, 4, 0, part{6, certify(t, "10.1.2.3", nil, nil)})}}, "client"},
		"a person's":                       {[]said{{0, message(0x10, 4, 0, part{6, person})}}, "isakmp_certificate_withheld"},
		"a person's login":                 {[]said{{0, message(0x10, 4, 0, part{6, certify(t, "anna.alfa", nil, nil)})}}, "isakmp_certificate_withheld"},
		"a person's, with a machine's":     {[]said{{0, message(0x10, 4, 0, part{6, certify(t, "Anna Alfa", []string{"pc.ward.example"}, nil)})}}, "isakmp_certificate_withheld"},
		"damaged":                          {[]said{{0, message(0x10, 4, 0, part{6, gateway[:100]})}}, "isakmp_certificate_malformed"},
		"a payload beyond the end":         {[]said{{0, message(0x10, 4, 0, part{1, nil}, part{6, nil})[:30]}}, ""},
		"a hash of one":                    {[]said{{0, message(0x20, 34, 8, part{37, append([]byte{12}, gateway...)})}}, ""},
		"encrypted":                        {[]said{{0, message(0x10, 2, 1, part{6, gateway})}}, ""},
		"sealed":                           {[]said{{0, message(0x20, 35, 8, part{46, make([]byte, 8)}, part{37, gateway})}}, ""},
		"another version's number":         {[]said{{0, message(0x20, 34, 8, part{6, gateway})}}, ""},
		"nothing more once it was secured": {[]said{{0, message(0x20, 35, 8, part{46, make([]byte, 8)})}, {0, message(0x20, 34, 8, part{37, gateway})}}, ""},
	} {
		for _, port := range []uint16{500, 4500} {
			list := slices.Clone(tc.list)
			if port == 4500 {
				for i := range list {
					list[i].b = append(make([]byte, 4), list[i].b...)
				}
			}
			r := play(port, list...)
			got := ""
			for _, f := range r.Of("isakmp", "certificate") {
				got += f.Attributes.Get("role")
			}
			for counter := range r.Counters {
				got += counter
			}
			if got != tc.want || len(r.Panics) > 0 {
				t.Errorf("%s, port %d: %q, want %q\n%s", name, port, got, tc.want, r.Text())
			}
		}
	}
}

func TestRecognised(t *testing.T) {
	b := message(0x20, 34, 8)
	esp := append([]byte{1, 2, 3, 4, 0, 0, 0, 1}, make([]byte, 32)...)
	for name, tc := range map[string]struct {
		port uint16
		list [][]byte
		want string
	}{
		"at home":                {500, [][]byte{b}, "isakmp"},
		"behind an address":      {4500, [][]byte{append(make([]byte, 4), b...)}, "isakmp"},
		"then ESP":               {4500, [][]byte{append(make([]byte, 4), b...), {0xff}, esp}, "isakmp"},
		"elsewhere":              {4000, [][]byte{b}, "isakmp"},
		"another length":         {500, [][]byte{append(b, 0)}, ""},
		"no cookie":              {500, [][]byte{append(make([]byte, 16), b[16:]...)}, ""},
		"another exchange":       {500, [][]byte{message(0x20, 4, 8)}, ""},
		"a version there is not": {500, [][]byte{message(0x30, 34, 8)}, ""},
	} {
		var list []said
		for _, x := range tc.list {
			list = append(list, said{0, x})
		}
		r := play(tc.port, list...)
		if got := strings.TrimPrefix(r.Flows[0].Protocol, "esp"); r.Flows[0].By == "content" && got != tc.want || len(r.Counters) > 0 || len(r.Facts) > 0 {
			t.Errorf("%s: %q %v", name, r.Flows[0].Protocol, r.Counters)
		}
	}
}

// What Arkime's test expects of its capture.
func TestArkime(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/arkime/pcap/ike-cert_synthetic.pcap")))
	var got []string
	for _, f := range r.Of("isakmp", "certificate") {
		got = append(got, f.Attributes.Get("certificate_serial")+" "+f.Attributes.Get("certificate_subject")+" "+f.Attributes.Get("certificate_not_after"))
	}
	want := []string{
		"e7fe6cc44427d5fe ikev1.example.com 2026-02-03T17:40:48Z", "cba85d9a334981b1 ikev2.example.com 2026-02-03T17:40:48Z",
		"ab57469c81477296 ikev1-ipv6.example.com 2026-02-03T17:40:48Z", "c5f2c6d10670ff49 ikev2-ipv6.example.com 2026-02-03T17:40:48Z",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

var secrets = []string{"CANARY-ALFA-NAME", "phi-canary@ward.example"}

func TestCanaries(t *testing.T) {
	secret := []byte(strings.Join(secrets, " "))
	// An identity, a vendor's id, a notification, a request for a certificate, one that is
	// none, and one that is a person's.
	list := []said{
		{0, message(0x10, 4, 0, part{5, secret}, part{13, secret}, part{11, secret}, part{7, secret}, part{6, append([]byte{4}, secret...)}, part{6, certify(t, secrets[0], nil, secrets[1:])})},
		{1, message(0x10, 4, 0, part{5, secret}, part{9, secret}, part{8, secret})},
		{1, message(0x10, 5, 1, part{5, secret})},
	}
	var h []packet.Headers
	for _, x := range list {
		h = append(h, dissecttest.Datagram(x.side, [2]uint16{500, 500}, x.b))
	}
	dissecttest.Planted(t, "isakmp", secrets, h)
	list = append([]said{{0, message(0x10, 4, 0, part{6, certify(t, secrets[0], []string{"pc.ward.example"}, nil)})}}, list...)
	r := play(500, list...)
	if hits := canary.Search(r.Everything(), secrets); len(hits) > 0 || r.Counters["isakmp_certificate_withheld"] != 2 {
		t.Errorf("%v in\n%s", hits, r.Everything())
	}
}

func FuzzIKE(f *testing.F) {
	f.Add(message(0x10, 4, 0, part{1, make([]byte, 9)}, part{6, certify(f, "vpn.ward.example", nil, nil)}), uint16(500))
	f.Add(append(make([]byte, 4), message(0x20, 34, 8, part{37, []byte{4, 0x30, 0x82}})...), uint16(4500))
	f.Fuzz(func(t *testing.T, b []byte, port uint16) {
		if r := play(port, said{0, b}, said{1, bytes.Clone(b)}, said{0, message(0x10, 4, 0, part{6, b[:min(len(b), 60000)]})}); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
