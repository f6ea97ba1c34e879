package tls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

const (
	maxCertificate = 24 << 10
	maxNames       = 32
	maxText        = 128
)

// chain reads the first certificate of a Certificate message (RFC 5246 7.4.2):
//
//	length of all (3) | length (3) certificate | ...
func (s *stream) chain(c *dissector.Context, b []byte) {
	r := reader{b: b}
	r.take(3)
	hi, lo := r.u8(), r.u16()
	size := hi<<16 | lo
	if size == 0 || size > maxCertificate {
		c.Count("tls_certificate_malformed")
		return
	}
	der := r.take(size)
	if r.bad {
		c.Count("tls_certificate_malformed")
		return
	}
	f := dissector.Fact{Protocol: "tls", Kind: "certificate", Subject: dissector.Subject{Side: c.Side}}
	sum := sha256.Sum256(der)
	if f.Attributes = described.get(sum); f.Attributes == nil {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			c.Count("tls_certificate_malformed")
			return
		}
		describe(&f, x)
		described.put(sum, f.Attributes)
	}
	c.Emit(&f)
}

// descriptions are what certificates said that were shown before: a server shows the
// same one to every client.
type descriptions struct {
	mu   sync.Mutex
	list map[[sha256.Size]byte]proto.Attributes
}

const maxDescribed = 1024 // then all are forgotten

var described descriptions

// get gives a copy, nil for a certificate that is not known.
func (d *descriptions) get(sum [sha256.Size]byte) proto.Attributes {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.list[sum])
}

func (d *descriptions) put(sum [sha256.Size]byte, a proto.Attributes) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.list == nil || len(d.list) >= maxDescribed {
		d.list = map[[sha256.Size]byte]proto.Attributes{}
	}
	d.list[sum] = slices.Clone(a)
}

func describe(f *dissector.Fact, x *x509.Certificate) {
	a := &f.Attributes
	a.Set("role", "server")
	a.Set("certificate_subject", text(x.Subject.CommonName))
	a.Set("certificate_organization", first(x.Subject.Organization))
	a.Set("certificate_unit", first(x.Subject.OrganizationalUnit))
	a.SetList("certificate_names", names(x))
	a.Set("certificate_issuer", text(x.Issuer.CommonName))
	a.Set("certificate_issuer_organization", first(x.Issuer.Organization))
	if x.SerialNumber != nil {
		a.Set("certificate_serial", hex.EncodeToString(x.SerialNumber.Bytes()))
	}
	a.Set("certificate_not_before", moment(x.NotBefore))
	a.Set("certificate_not_after", moment(x.NotAfter))
	if bytes.Equal(x.RawIssuer, x.RawSubject) {
		a.Set("certificate_self_signed", "true")
	}
	kind, bits := key(x)
	a.Set("certificate_key_type", kind)
	if bits > 0 {
		a.Set("certificate_key_bits", strconv.Itoa(bits))
	}
	if x.SignatureAlgorithm != x509.UnknownSignatureAlgorithm {
		a.Set("certificate_signature", x.SignatureAlgorithm.String())
	}
	sum := sha256.Sum256(x.Raw)
	a.Set("certificate_sha256", hex.EncodeToString(sum[:]))
}

// text withholds what looks like a mail address: that is a person's.
func text(s string) string {
	if strings.Contains(s, "@") {
		return ""
	}
	return dissector.Text([]byte(s), maxText)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return text(list[0])
}

// names are the DNS names and addresses; mail addresses and URIs stay out.
func names(x *x509.Certificate) []string {
	var list []string
	for _, s := range x.DNSNames {
		if s = text(s); s != "" && len(list) < maxNames {
			list = append(list, s)
		}
	}
	for _, ip := range x.IPAddresses {
		if len(list) < maxNames {
			list = append(list, ip.String())
		}
	}
	return list
}

// moment is RFC 3339; years that it cannot write are left out.
func moment(t time.Time) string {
	if y := t.Year(); y < 1 || y > 9999 {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func key(x *x509.Certificate) (kind string, bits int) {
	switch k := x.PublicKey.(type) {
	case *rsa.PublicKey:
		return "rsa", k.N.BitLen()
	case *ecdsa.PublicKey:
		return "ecdsa", k.Curve.Params().BitSize
	case ed25519.PublicKey:
		return "ed25519", 256
	}
	if x.PublicKeyAlgorithm == x509.DSA {
		return "dsa", 0
	}
	return "", 0
}
