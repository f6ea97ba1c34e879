package dissect_test

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/repotest"
)

// zeekLogs are the logs that are compared, by a word in the file's name, and for
// each column the attribute that is its own.
var zeekLogs = []struct {
	word    string
	columns map[string]zeekColumn
}{
	{"ssl", map[string]zeekColumn{
		"version": {"tls", "server_hello", "tls_version"}, "cipher": {"tls", "server_hello", "cipher"},
		"server_name": {"tls", "client_hello", "sni"}, "next_protocol": {"tls", "server_hello", "alpn"},
		"cert_chain_fps": {"tls", "certificate", "certificate_sha256"},
	}},
	{"http", map[string]zeekColumn{"host": {"http", "request", "host"}, "user_agent": {"http", "request", "user_agent"}}},
	{"ssh", map[string]zeekColumn{"client": {"ssh", "banner", "software"}, "server": {"ssh", "banner", "software"}}},
	{"ntlm", map[string]zeekColumn{
		"hostname": {"smb", "ntlm_authenticate", "computer_name"}, "domainname": {"smb", "ntlm_authenticate", "netbios_domain"},
		"server_nb_computer_name": {"smb", "ntlm_challenge", "computer_name"}, "server_dns_computer_name": {"smb", "ntlm_challenge", "dns_computer_name"},
		"server_tree_name": {"smb", "ntlm_challenge", "dns_forest"},
	}},
}

type zeekColumn struct{ protocol, kind, attribute string }

// TestZeek compares with the logs that Zeek's own tests expect.
func TestZeek(t *testing.T) {
	root := repotest.Shared(t, "captures/zeek")
	s := newScore(t, "Zeek")
	seen := map[string]*observed{}
	for _, line := range strings.Split(read(t, root+"/TRACE_TO_BASELINE.csv"), "\n")[1:] {
		parts := strings.SplitN(line, ",", 3)
		if len(parts) < 3 || strings.HasPrefix(parts[0], "quic/") {
			continue
		}
		for _, baseline := range strings.Fields(parts[2]) {
			base := filepath.Base(baseline)
			for _, l := range zeekLogs {
				path := filepath.Join(root, baseline)
				if !strings.Contains(base, l.word) || strings.HasSuffix(base, ".json") || !exists(path) {
					continue
				}
				if seen[parts[0]] == nil {
					if seen[parts[0]] = observe(t, filepath.Join(root, "Traces", parts[0])); seen[parts[0]] == nil {
						continue
					}
				}
				seen[parts[0]].zeek(s, parts[0], read(t, path), l.columns)
			}
		}
	}
	s.report(300)
}

// zeek compares the rows of a log whose connection is in the capture.
func (o *observed) zeek(s *score, trace, log string, columns map[string]zeekColumn) {
	var names []string
	for _, line := range strings.Split(log, "\n") {
		row := strings.Split(line, "\t")
		switch {
		case row[0] == "#fields":
			names = row[1:]
			continue
		case strings.HasPrefix(line, "#"):
			continue
		case row[0] == "ts" || row[0] == "uid":
			names = row
			continue
		}
		at := func(name string) string {
			if i := slices.Index(names, name); i >= 0 && i < len(row) {
				return row[i]
			}
			return ""
		}
		k, ok := zeekEnds(at)
		if !ok || o.flows[k] == nil {
			continue
		}
		for name, c := range columns {
			value := zeekValue(name, at(name))
			if value == "" {
				continue
			}
			ours := values(o.facts[k], c.protocol, c.kind, c.attribute)
			where := trace + " " + k.a.String() + " " + k.b.String() + " (ours: " + o.label(k) + ")"
			s.want(c.protocol+" "+c.attribute, where, value, ours, func() string { return zeekWhy(trace) })
		}
	}
}

func zeekEnds(at func(string) string) (ends, bool) {
	a, b, ok := endpoints(at("id.orig_h"), at("id.orig_p"), at("id.resp_h"), at("id.resp_p"))
	return endsOf(a, b), ok
}

// zeekValue writes a value of Zeek's our way; "" where there is none.
func zeekValue(name, v string) string {
	if v == "-" || v == "(empty)" {
		return ""
	}
	switch name {
	case "version":
		v, ok := map[string]string{"TLSv10": "1.0", "TLSv11": "1.1", "TLSv12": "1.2", "TLSv13": "1.3", "SSLv3": "ssl3"}[v]
		if !ok {
			return ""
		}
		return v
	case "cert_chain_fps":
		v, _, _ = strings.Cut(v, ",")
	case "client", "server": // SSH-2.0-OpenSSH_5.9p1 Debian
		p := strings.SplitN(v, "-", 3)
		if len(p) < 3 {
			return ""
		}
		v, _, _ = strings.Cut(p[2], " ")
	case "host":
		if i := strings.LastIndexByte(v, ':'); i > 0 {
			if _, err := strconv.Atoi(v[i+1:]); err == nil {
				v = v[:i]
			}
		}
		v = strings.ToLower(v)
		if ip, err := netip.ParseAddr(v); err == nil {
			v = ip.String()
		}
	case "server_name":
		v = strings.ToLower(v)
	}
	return v
}

// zeekReasons are why a trace, or all whose name contains a word, differs.
var zeekReasons = []struct{ word, reason string }{
	{"dce-rpc/", "NTLM inside DCE/RPC: out of scope"},
	{"ldap/", "NTLM inside LDAP: out of scope"},
	{"tls/dtls", "DTLS is not TLS over TCP"},
	{"tls12-decryption", "Zeek has the keys"},
}

func zeekWhy(trace string) string {
	for _, r := range zeekReasons {
		if strings.Contains(trace, r.word) {
			return r.reason
		}
	}
	return ""
}
