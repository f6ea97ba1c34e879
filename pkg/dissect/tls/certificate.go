package tls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net"
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
	list, _, ok := Certificate(der)
	if !ok {
		c.Count("tls_certificate_malformed")
		return
	}
	list.Set("role", "server")
	c.Emit(&dissector.Fact{Protocol: "tls", Kind: "certificate", Subject: dissector.Subject{Side: c.Side}, Attributes: list})
}

// Certificate says what a certificate says of its owner, whatever carries it; behind it
// others of its chain may stand. host is true where that is a machine, by names that
// machines have alone: any other may be a person's.
func Certificate(der []byte) (list proto.Attributes, host, ok bool) {
	if der = element(der); der == nil {
		return nil, false, false
	}
	sum := sha256.Sum256(der)
	d, known := described.get(sum)
	if !known {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, false, false
		}
		d.host = ofHost(x)
		describe(&d.list, x, sum)
		described.put(sum, d)
	}
	return d.list, d.host, true
}

// element is the first of a row of DER's elements (X.690 8.1.3), a sequence of at most
// maxCertificate bytes.
func element(b []byte) []byte {
	r := reader{b: b}
	kind, size := r.u8(), r.u8()
	switch size {
	case 0x81:
		size = r.u8()
	case 0x82:
		size = r.u16()
	}
	head := len(b) - len(r.b)
	if r.bad || kind != 0x30 || size > len(r.b) || size > maxCertificate {
		return nil
	}
	return b[:head+size]
}

// ofHost reports that all names of a certificate are a machine's: addresses, and names
// of three labels and more.
func ofHost(x *x509.Certificate) bool {
	if len(x.EmailAddresses) > 0 || len(x.URIs) > 0 {
		return false
	}
	name := x.Subject.CommonName
	switch {
	case name == "" || slices.Contains(x.DNSNames, name):
		return len(x.DNSNames)+len(x.IPAddresses) > 0
	case net.ParseIP(name) != nil:
		return true
	}
	return strings.Count(name, ".") >= 2 && !strings.Contains(name, "..") && serverName([]byte(strings.TrimPrefix(name, "*."))) != ""
}

// description is what a certificate said.
type description struct {
	list proto.Attributes
	host bool
}

// descriptions are those of certificates that were shown before: a server shows the
// same one to every client.
type descriptions struct {
	mu   sync.Mutex
	list map[[sha256.Size]byte]description
}

const maxDescribed = 1024 // then all are forgotten

var described descriptions

// get gives a copy.
func (d *descriptions) get(sum [sha256.Size]byte) (x description, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	x, known = d.list[sum]
	x.list = slices.Clone(x.list)
	return x, known
}

func (d *descriptions) put(sum [sha256.Size]byte, x description) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.list == nil || len(d.list) >= maxDescribed {
		d.list = map[[sha256.Size]byte]description{}
	}
	x.list = slices.Clone(x.list)
	d.list[sum] = x
}

func describe(a *proto.Attributes, x *x509.Certificate, sum [sha256.Size]byte) {
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
