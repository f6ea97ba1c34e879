package dissect_test

import (
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

var ndpiDatagrams = regexp.MustCompile(`^\s+\d+\s+UDP (\S+) (?:<->|->|<-) (\S+) (?:\[VLAN: \d+\])?\[proto: ([^\]]*)\]`)

// ndpiDatagramNames are ours for nDPI's protocols over UDP.
var ndpiDatagramNames = map[string]string{
	"SNMP": "snmp", "NTP": "ntp", "QUIC": "quic", "DNS": "dns", "DHCP": "dhcp", "TFTP": "tftp", "NetBIOS": "netbios", "DHCPV6": "dhcpv6", "MDNS": "mdns", "LLMNR": "llmnr", "SSDP": "ssdp",
}

// TestNDPIDatagrams compares the protocols of UDP with the results that nDPI's own
// tests expect, both ways, and of QUIC the names and fingerprints.
func TestNDPIDatagrams(t *testing.T) {
	root := repotest.Shared(t, "captures/nDPI")
	s := newScore(t, "nDPI")
	ours := map[string]bool{}
	for _, name := range ndpiDatagramNames {
		ours[name] = true
	}
	for _, path := range glob(t, root+"/result/*.out") {
		name := strings.TrimSuffix(filepath.Base(path), ".out")
		capture := filepath.Join(root, "pcap", name)
		if !exists(capture) {
			continue
		}
		o := observe(t, capture)
		if o == nil {
			continue
		}
		for _, line := range strings.Split(read(t, path), "\n") {
			m := ndpiDatagrams.FindStringSubmatch(line)
			if m == nil || !strings.Contains(line, "[Confidence: DPI]") {
				continue
			}
			a, err1 := netip.ParseAddrPort(m[1])
			b, err2 := netip.ParseAddrPort(m[2])
			if err1 != nil || err2 != nil {
				continue
			}
			k := endsOf(a, b)
			_, label, _ := strings.Cut(m[3], "/")
			label, _, _ = strings.Cut(label, ".")
			f := o.flows[k]
			got := "other"
			if f != nil && f.By != proto.ByPort && ours[f.Protocol] {
				got = f.Protocol
			}
			want := ndpiDatagramNames[label]
			if want == "" {
				want = "other"
			}
			where := name + " " + k.a.String() + " " + k.b.String() + " (" + m[3] + "; ours: " + o.label(k) + ")"
			if want != "other" || got != "other" {
				s.want("protocol "+want, where, want, []string{got}, func() string { return ndpiDatagramWhy(name, label, f) })
			}
			if want == "quic" && got == "quic" {
				o.ndpiQUIC(s, name, where, k, ndpiField.FindAllStringSubmatch(line, -1))
			}
		}
	}
	s.report(300)
}

// ndpiQUIC compares the fields of one connection.
func (o *observed) ndpiQUIC(s *score, name, where string, k ends, fields [][]string) {
	for _, f := range fields {
		attribute := map[string]string{"JA4": "ja4", "JA3C": "ja3", "JA3S": "ja3s", "Hostname/SNI": "sni", "User-Agent": "user_agent", "Cipher": "cipher"}[f[1]]
		if attribute == "" {
			continue
		}
		s.want("quic "+attribute, where, f[2], values(o.facts[k], "quic", "", attribute), func() string {
			if attribute == "ja4" && slices.ContainsFunc(values(o.facts[k], "quic", "", "ja4"), func(x string) bool {
				return x[:3] == f[2][:3] && x[4:8] == f[2][4:8] && x[10:] == f[2][10:]
			}) {
				return "nDPI writes d where there is no SNI, and takes the first two characters of the ALPN"
			}
			return ""
		})
	}
}

func ndpiDatagramWhy(name, label string, f *dissecttest.Flow) string {
	switch {
	case f == nil:
		return "a fragment whose others are missing"
	case name == "fuzz-2006-06-26-2594.pcap":
		return "a fuzzer's: the message is damaged"
	case label == "AVASTSecureDNS":
		return "DNS that nDPI knows by its maker"
	case name == "quic_sh.pcap":
		return "joined late: short headers say nothing, nDPI goes by the port and the bits"
	}
	return ""
}
