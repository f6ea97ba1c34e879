package dissect_test

import (
	"encoding/json"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/repotest"
)

// arkimeSession is what Arkime's own tests expect of one connection.
type arkimeSession struct {
	IPProtocol  int `json:"ipProtocol"`
	Source      arkimeEnd
	Destination arkimeEnd
	TLS         struct{ JA3, JA3S, JA4, Cipher []string }
	Cert        []arkimeCert
	HTTP        struct {
		Host, UserAgent []string
		AuthType        []string
		StatusCode      []int
	}
	SSH struct {
		HASSH       []string
		HASSHServer []string
		Version     []string
	}
	SMB struct {
		OS, Version, Domain, Host []string
		Dialect                   any
	}
	NTLM struct{ Domain, Host []string }
}

type arkimeCert struct {
	IssuerCN, IssuerON, SubjectCN, SubjectON, Alt []string
	NotBefore, NotAfter                           int64
	Serial                                        string
}

type arkimeEnd struct {
	IP   string
	Port uint16
}

// TestArkime compares with the sessions that Arkime's own tests expect.
func TestArkime(t *testing.T) {
	root := repotest.Shared(t, "captures/arkime/pcap")
	s := newScore(t, "Arkime")
	for _, path := range glob(t, root+"/*.test") {
		var want struct {
			Sessions3 []struct{ Body arkimeSession }
		}
		if err := json.Unmarshal([]byte(read(t, path)), &want); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".test")
		o := observe(t, filepath.Join(root, name+".pcap"))
		if o == nil {
			o = observe(t, filepath.Join(root, name+".pcapng"))
		}
		if o == nil {
			continue
		}
		for i := range want.Sessions3 {
			o.arkime(s, name, &want.Sessions3[i].Body)
		}
	}
	s.report(300)
}

func (o *observed) arkime(s *score, name string, x *arkimeSession) {
	a, err1 := netip.ParseAddr(x.Source.IP)
	b, err2 := netip.ParseAddr(x.Destination.IP)
	if err1 != nil || err2 != nil || x.IPProtocol != 6 {
		return
	}
	k := endsOf(netip.AddrPortFrom(a, x.Source.Port), netip.AddrPortFrom(b, x.Destination.Port))
	facts := o.facts[k]
	where := name + " " + k.a.String() + " " + k.b.String() + " (ours: " + o.label(k) + ")"
	each := func(protocol, attribute string, want []string) {
		for _, w := range want {
			if w == "" {
				continue
			}
			ours := values(facts, protocol, "", attribute)
			s.want(protocol+" "+attribute, where, w, ours, func() string { return arkimeWhy(name, attribute) })
		}
	}
	each("tls", "ja3", x.TLS.JA3)
	each("tls", "ja3s", x.TLS.JA3S)
	each("tls", "ja4", x.TLS.JA4)
	each("tls", "cipher", x.TLS.Cipher)
	o.arkimeCertificates(s, where, name, k, x)
	hosts := append(values(facts, "http", "", "host"), values(facts, "tls", "", "sni")...)
	for _, h := range x.HTTP.Host { // with its port; for Arkime SNI is a host too
		if host, _, err := net.SplitHostPort(h); err == nil {
			h = host
		}
		if h == "" {
			continue
		}
		s.want("host and sni", where, h, hosts, func() string { return arkimeWhy(name, "host") })
	}
	each("http", "user_agent", x.HTTP.UserAgent)
	each("http", "auth", x.HTTP.AuthType)
	each("ssh", "hassh", x.SSH.HASSH)
	each("ssh", "hassh_server", x.SSH.HASSHServer)
	each("smb", "native_os", x.SMB.OS)
	each("smb", "native_lan_manager", x.SMB.Version)
	each("smb", "netbios_domain", append(x.SMB.Domain, x.NTLM.Domain...))
	each("smb", "computer_name", append(x.SMB.Host, x.NTLM.Host...))
}

// arkimeCertificates looks for our certificate, which is the first of the chain,
// in Arkime's, which has names in lower case.
func (o *observed) arkimeCertificates(s *score, where, name string, k ends, x *arkimeSession) {
	if len(x.Cert) == 0 {
		return
	}
	facts := o.facts[k]
	get := func(attribute string) []string {
		return append(values(facts, "tls", "certificate", attribute), values(facts, "opcua", "certificate", attribute)...)
	}
	serials := get("certificate_serial")
	var c *arkimeCert
	for i := range x.Cert {
		if slices.Contains(serials, strings.TrimPrefix(x.Cert[i].Serial, "00")) {
			c = &x.Cert[i]
		}
	}
	if c == nil {
		s.want("certificate", where, strings.TrimPrefix(x.Cert[0].Serial, "00"), serials, func() string { return arkimeWhy(name, "certificate") })
		return
	}
	same := func(attribute string, want []string) {
		for _, w := range want {
			var ours []string
			for _, v := range get(attribute) {
				ours = append(ours, strings.ToLower(v))
			}
			w = strings.ToLower(w)
			s.want(attribute, where, w, ours, func() string { return arkimeWhy(name, attribute) })
		}
	}
	same("certificate_subject", c.SubjectCN)
	same("certificate_issuer", c.IssuerCN)
	same("certificate_organization", c.SubjectON[:min(len(c.SubjectON), 1)])
	same("certificate_issuer_organization", c.IssuerON[:min(len(c.IssuerON), 1)])
	same("certificate_names", c.Alt[:min(len(c.Alt), 32)])
	same("certificate_not_before", []string{time.UnixMilli(c.NotBefore).UTC().Format(time.RFC3339)})
	same("certificate_not_after", []string{time.UnixMilli(c.NotAfter).UTC().Format(time.RFC3339)})
}

// arkimeReasons are why a capture, or a field of it, differs.
var arkimeReasons = []struct{ name, attribute, reason string }{
	{"arkime_synthetic", "certificate", "an invented certificate without a key that could be read (crypto/x509: malformed spki)"},
	{"smbtorture-ntlmssp-moloch-crash", "netbios_domain", "the length of the domain's name is damaged, and the name lies outside of the message"},
}

func arkimeWhy(name, attribute string) string {
	for _, r := range arkimeReasons {
		if strings.HasPrefix(name, r.name) && (r.attribute == "" || r.attribute == attribute) {
			return r.reason
		}
	}
	return ""
}
