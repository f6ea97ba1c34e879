package dissect_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/repotest"
)

var (
	ndpiFlow  = regexp.MustCompile(`^\s+\d+\s+TCP (\S+) (?:<->|->|<-) (\S+) \[proto: ([^\]]*)\]`)
	ndpiField = regexp.MustCompile(`\[((?:JA4|JA3C|JA3S|HASSH-C|HASSH-S|Hostname/SNI|User-Agent|Server|Cipher)): ([^\]]*)\]`)
)

// TestNDPI compares with the results that nDPI's own tests expect.
func TestNDPI(t *testing.T) {
	root := repotest.Shared(t, "captures/nDPI")
	s := newScore(t, "nDPI")
	for _, path := range glob(t, root+"/result/*.out") {
		name := strings.TrimSuffix(filepath.Base(path), ".out")
		capture := filepath.Join(root, "pcap", name)
		if _, err := os.Stat(capture); err != nil {
			continue
		}
		o := observe(t, capture)
		if o == nil {
			continue
		}
		for _, line := range strings.Split(read(t, path), "\n") {
			m := ndpiFlow.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			a, err1 := netip.ParseAddrPort(m[1])
			b, err2 := netip.ParseAddrPort(m[2])
			if err1 != nil || err2 != nil {
				continue
			}
			if strings.Contains(line, "[Confidence: DPI]") { // else it goes by the port, or by an address
				o.ndpiProtocol(s, name, m[3], endsOf(a, b))
			}
			o.ndpi(s, name, m[3], endsOf(a, b), ndpiField.FindAllStringSubmatch(line, -1))
		}
	}
	s.report(500)
}

// ndpi compares the fields of one connection.
func (o *observed) ndpi(s *score, name, proto string, k ends, fields [][]string) {
	facts := o.facts[k]
	where := name + " " + k.a.String() + " " + k.b.String() + " (" + proto + "; ours: " + o.label(k) + ")"
	for _, f := range fields {
		value, ours := f[2], []string(nil)
		field := f[1]
		switch field {
		case "JA3C":
			field, ours = "ja3", values(facts, "tls", "", "ja3")
		case "JA3S":
			field, ours = "ja3s", values(facts, "tls", "", "ja3s")
			value, _, _ = strings.Cut(value, " (") // (WEAK): nDPI's opinion
		case "JA4":
			field, ours = "ja4", values(facts, "tls", "", "ja4")
		case "HASSH-C":
			field, value, ours = "hassh", strings.ToLower(value), values(facts, "ssh", "", "hassh")
		case "HASSH-S":
			field, value, ours = "hassh_server", strings.ToLower(value), values(facts, "ssh", "", "hassh_server")
		case "Cipher":
			field, ours = "cipher", values(facts, "tls", "", "cipher")
		case "User-Agent":
			field, ours = "user_agent", values(facts, "http", "", "user_agent")
		case "Server":
			field, ours = "server", values(facts, "http", "", "server")
			if v, ok := strings.CutPrefix(value, "SSH-"); ok {
				field, ours = "software", values(facts, "ssh", "", "software")
				_, value, _ = strings.Cut(v, "-")
			}
		case "Hostname/SNI":
			switch {
			case strings.Contains(proto, "HTTP"):
				field, ours = "host", values(facts, "http", "", "host")
			case strings.Contains(proto, "TLS"):
				field, ours = "sni", values(facts, "tls", "", "sni")
			default:
				continue
			}
		}
		s.want(field, where, value, ours, func() string { return o.ndpiWhy(name, proto, k, field, value, ours) })
	}
}

// ndpiNames are ours for nDPI's protocols.
var ndpiNames = map[string]string{"TLS": "tls", "HTTP": "http", "HTTP_Connect": "http", "HTTP_Proxy": "http", "SSH": "ssh", "SMBv1": "smb", "SMBv23": "smb"}

// ndpiProtocol compares the protocol: where nDPI says one of ours, and where we do.
func (o *observed) ndpiProtocol(s *score, name, proto string, k ends) {
	_, label, _ := strings.Cut(proto, "/")
	label, _, _ = strings.Cut(label, ".")
	f := o.flows[k]
	if f == nil {
		return
	}
	ours := "other"
	if f.By == "content" && slices.Contains([]string{"tls", "http", "ssh", "smb"}, f.Protocol) {
		ours = f.Protocol
	}
	want := ndpiNames[label]
	if want == "" {
		want = "other"
	}
	if want == "other" && ours == "other" {
		return
	}
	s.want("protocol "+want, name+" "+k.a.String()+" "+k.b.String()+" ("+proto+"; ours: "+o.label(k)+")", want, []string{ours}, func() string {
		switch {
		case name == "heuristic_tcp_ack_payload.pcap":
			return o.ndpiWhy(name, proto, k, "", "", nil)
		case want == "other" && (label == "IMAPS" || label == "POPS" || label == "ApplePush" || label == "SOAP" || label == "HTTP2" || label == "NetBIOS"):
			return "nDPI names what is inside or around it"
		}
		return ""
	})
}

func (o *observed) ndpiWhy(name, proto string, k ends, field, value string, ours []string) string {
	for _, x := range ours {
		if field != "ja4" || len(x) < 36 || len(value) < 36 {
			continue
		}
		parts := func(s string) [4]string { return [4]string{s[:3], s[3:4], s[4:8], s[8:10]} }
		a, b := parts(x), parts(value)
		switch {
		case strings.HasSuffix(value, "_e3b0c44298fc") && x[:3] == value[:3]:
			return "without extensions nDPI hashes nothing, JA4 has zeros"
		case a[0] != b[0] || a[2] != b[2] || x[10:] != value[10:]:
		case a[1] == "i" && b[1] == "d" && values(o.facts[k], "tls", "", "sni") == nil:
			return "nDPI writes d where there is no SNI"
		case a[3] != b[3]:
			return "nDPI takes the first two characters of the ALPN, JA4 the first and the last"
		}
	}
	switch {
	case name == "heuristic_tcp_ack_payload.pcap":
		return "acknowledgements with bytes that were never sent (padding inside the IP length): nDPI has a heuristic for it"
	case strings.Contains(proto, "FTPS") || strings.Contains(proto, "POPS") || strings.Contains(proto, "IMAPS"):
		return "TLS after STARTTLS is out of scope"
	case name == "http_ua_splitted_in_two_pkts.pcapng" && strings.HasPrefix(ours[0], value):
		return "nDPI has the part of the header that the first segment has"
	case name == "steam.pcapng" && field == "ja3s":
		return "nDPI takes a HelloRetryRequest for the server's hello"
	case strings.Contains(proto, "RTSP"):
		return "RTSP is not HTTP"
	case strings.Contains(proto, "Xiaomi"):
		return "a protocol of Xiaomi's, which nDPI reads a model's name from"
	}
	return ""
}
