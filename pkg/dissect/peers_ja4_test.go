package dissect_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/repotest"
)

// TestJA4 compares with the fingerprints that FoxIO's own implementations in
// Python and Rust expect of their captures: JA4 and SNI, over TCP.
func TestJA4(t *testing.T) {
	root := repotest.Shared(t, "captures/ja4")
	s := newScore(t, "FoxIO")
	seen := map[string]*observed{}
	compare := func(capture string, a, b netip.AddrPort, attribute, value string) {
		path := filepath.Join(root, "pcap", capture)
		o := seen[path]
		if o == nil {
			if o = observe(t, path); o == nil {
				return
			}
			seen[path] = o
		}
		k := endsOf(a, b)
		facts := o.facts[k]
		ours := append(values(facts, "tls", "", attribute), values(facts, "http", "", "host")...)
		s.want(attribute, fmt.Sprintf("%s %s %s (ours: %s)", capture, a, b, o.label(k)), value, ours, func() string { return ja4Why(capture, value) })
	}
	for _, path := range glob(t, root+"/python/test/testdata/*.json") {
		var list []map[string]any
		if err := json.Unmarshal([]byte(read(t, path)), &list); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, m := range list {
			get := func(name string) string { v, _ := m[name].(string); return v }
			a, b, ok := endpoints(get("src"), get("srcport"), get("dst"), get("dstport"))
			v := get("JA4.1")
			if !ok || !strings.HasPrefix(v, "t") {
				continue
			}
			compare(strings.TrimSuffix(filepath.Base(path), ".json"), a, b, "ja4", v)
			if d := get("domain"); d != "" {
				compare(strings.TrimSuffix(filepath.Base(path), ".json"), a, b, "sni", d)
			}
		}
	}
	field := regexp.MustCompile(`(?m)^  (?:- )?(\w+): (.*)$|^- (stream): `)
	for _, path := range glob(t, root+"/rust/ja4/src/snapshots/*.snap") {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "ja4__insta@"), ".snap")
		for _, part := range strings.Split(read(t, path), "\n- ") {
			m := map[string]string{}
			for _, x := range field.FindAllStringSubmatch(part, -1) {
				m[x[1]] = x[2]
			}
			a, b, ok := endpoints(m["src"], m["src_port"], m["dst"], m["dst_port"])
			if !ok || m["transport"] != "tcp" || !strings.HasPrefix(m["ja4"], "t") {
				continue
			}
			compare(name, a, b, "ja4", m["ja4"])
			if d := m["tls_server_name"]; d != "" {
				compare(name, a, b, "sni", d)
			}
		}
	}
	s.report(100)
}

func ja4Why(capture, value string) string {
	if capture == "tls-non-ascii-alpn.pcapng" && value[8:10] == "99" {
		return "an ALPN that is not ASCII: 99 was the rule before JA4.md took the hex digits"
	}
	return ""
}

func endpoints(src, sport, dst, dport string) (a, b netip.AddrPort, ok bool) {
	x, err1 := netip.ParseAddr(src)
	y, err2 := netip.ParseAddr(dst)
	p, err3 := strconv.ParseUint(sport, 10, 16)
	q, err4 := strconv.ParseUint(dport, 10, 16)
	return netip.AddrPortFrom(x, uint16(p)), netip.AddrPortFrom(y, uint16(q)), err1 == nil && err2 == nil && err3 == nil && err4 == nil
}

var suricataString = regexp.MustCompile(`(?m)^\s+(tls\.(?:ja3|ja4|sni|ja3s|subject|issuerdn)[a-z_.]*|ssh\.[a-z_.]+|smb\.(?:dialect|ntlmssp\.[a-z]+|server_guid|client_guid)|http\.(?:hostname|http_user_agent)): ["']?(.*?)["']?$`)

// TestSuricata compares with the checks of suricata-verify that name a value: it
// must be among ours somewhere in the capture.
func TestSuricata(t *testing.T) {
	root := repotest.Shared(t, "captures/suricata-verify")
	s := newScore(t, "Suricata")
	for _, path := range glob(t, root+"/*/test.yaml") {
		checks := suricataString.FindAllStringSubmatch(read(t, path), -1)
		if checks == nil {
			continue
		}
		dir := filepath.Dir(path)
		pcaps, err := filepath.Glob(dir + "/*.pcap*")
		if err != nil || len(pcaps) == 0 {
			continue
		}
		o := observe(t, pcaps[0])
		if o == nil {
			continue
		}
		all := o.result.Facts
		for _, c := range checks {
			var ours []string
			value := c[2]
			switch name := c[1]; name {
			case "tls.ja3.string":
				ours, value = values(all, "tls", "", "ja3"), md5Of(value)
			case "tls.ja3.hash":
				ours = values(all, "tls", "", "ja3")
			case "tls.ja4", "tls.sni":
				ours = values(all, "tls", "", strings.TrimPrefix(name, "tls."))
			case "ssh.client.hassh.hash":
				ours = values(all, "ssh", "", "hassh")
			case "ssh.server.hassh.hash":
				ours = values(all, "ssh", "", "hassh_server")
			case "ssh.client.software_version", "ssh.server.software_version":
				ours = values(all, "ssh", "banner", "software")
			case "smb.dialect":
				if value == "unknown" { // Suricata's word for a session that it joined late
					continue
				}
				if v := smbDialects[value]; v != "" {
					value = v
				}
				ours = values(all, "smb", "negotiate_response", "dialect")
			case "smb.server_guid", "smb.client_guid":
				ours = values(all, "smb", "", strings.TrimPrefix(name, "smb."))
			case "smb.ntlmssp.host":
				ours = values(all, "smb", "ntlm_authenticate", "computer_name")
			case "smb.ntlmssp.domain":
				ours = values(all, "smb", "ntlm_authenticate", "netbios_domain")
			case "http.hostname":
				ours = values(all, "http", "", "host")
			case "http.http_user_agent":
				ours = values(all, "http", "", "user_agent")
			default:
				continue
			}
			test := filepath.Base(dir)
			s.want(c[1], test, value, ours, func() string { return suricataWhy(test) })
		}
	}
	s.report(5)
}

// smbDialects are ours for Suricata's.
var smbDialects = map[string]string{"2.02": "2.0.2", "2.10": "2.1", "3.00": "3.0", "3.02": "3.0.2", "3.11": "3.1.1"}

func suricataWhy(test string) string {
	if strings.Contains(test, "quic") || strings.Contains(test, "http2") {
		return "QUIC and HTTP/2 are not read"
	}
	return ""
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }
