package kafkatest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificates names PEM files as a client's settings want them.
type Certificates struct {
	// CAFile is the authority that signed the brokers' certificate.
	CAFile string
	// CertFile and KeyFile are a client's own, by the same authority.
	CertFile, KeyFile string

	server string // key and certificate in one file, as Kafka wants them
}

// signer makes certificates of one authority.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

// writeCertificates makes an authority, a broker's and a client's certificate
// and writes them under dir.
func writeCertificates(dir string) (Certificates, error) {
	c := Certificates{
		CAFile:   filepath.Join(dir, "ca.pem"),
		CertFile: filepath.Join(dir, "client.pem"),
		KeyFile:  filepath.Join(dir, "client-key.pem"),
		server:   filepath.Join(dir, "server.pem"),
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return c, fmt.Errorf("make the folder of certificates: %w", err)
	}
	authority := &signer{}
	ca, _, err := authority.sign("wardflow test authority")
	if err != nil {
		return c, err
	}
	server, serverKey, err := authority.sign("localhost")
	if err != nil {
		return c, err
	}
	client, clientKey, err := authority.sign("wardflow")
	if err != nil {
		return c, err
	}
	files := map[string][]byte{
		c.CAFile: ca, c.CertFile: client, c.KeyFile: clientKey, c.server: append(serverKey, server...),
	}
	for path, text := range files {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return c, fmt.Errorf("write certificates: %w", err)
		}
	}
	return c, nil
}

// sign returns a certificate and its key (PKCS #8) as PEM. The first one signs
// itself and becomes the authority of the others.
func (s *signer) sign(name string) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the key of %s: %w", name, err)
	}
	s.next++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(s.next),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	parent, parentKey := s.cert, s.key
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage |= x509.KeyUsageCertSign
		parent, parentKey = template, private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &private.PublicKey, parentKey)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the certificate of %s: %w", name, err)
	}
	if s.cert == nil {
		if s.cert, err = x509.ParseCertificate(der); err != nil {
			return nil, nil, fmt.Errorf("read the authority back: %w", err)
		}
		s.key = private
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the key of %s: %w", name, err)
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	return cert, key, nil
}
