package dissect_test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/repotest"
)

// TestQUIC compares what was read of QUIC with FoxIO's fingerprints, Zeek's logs,
// suricata-verify's checks and Arkime's sessions.
func TestQUIC(t *testing.T) {
	s := newScore(t, "QUIC")
	t.Run("FoxIO", func(t *testing.T) { quicFoxIO(t, s) })
	t.Run("Zeek", func(t *testing.T) { quicZeek(t, s) })
	t.Run("Suricata", func(t *testing.T) { quicSuricata(t, s) })
	t.Run("Arkime", func(t *testing.T) { quicArkime(t, s) })
	s.report(100)
}

func quicFoxIO(t *testing.T, s *score) {
	root := repotest.Shared(t, "captures/ja4")
	field := regexp.MustCompile(`(?m)^  (?:- )?(\w+): (.*)$`)
	for _, path := range glob(t, root+"/rust/ja4/src/snapshots/*.snap") {
		if !strings.Contains(read(t, path), "ja4: q") {
			continue
		}
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "ja4__insta@"), ".snap")
		o := observe(t, filepath.Join(root, "pcap", name))
		if o == nil {
			continue
		}
		for _, part := range strings.Split(read(t, path), "\n- ") {
			m := map[string]string{}
			for _, x := range field.FindAllStringSubmatch(part, -1) {
				m[x[1]] = x[2]
			}
			a, b, ok := endpoints(m["src"], m["src_port"], m["dst"], m["dst_port"])
			if !ok || !strings.HasPrefix(m["ja4"], "q") {
				continue
			}
			k := endsOf(a, b)
			where := name + " " + a.String() + " " + b.String() + " (ours: " + o.label(k) + ")"
			s.want("ja4", where, m["ja4"], values(o.facts[k], "quic", "", "ja4"), noReason)
			if m["tls_server_name"] != "" {
				s.want("sni", where, m["tls_server_name"], values(o.facts[k], "quic", "", "sni"), noReason)
			}
		}
	}
}

func noReason() string { return "" }

func quicZeek(t *testing.T, s *score) {
	root := repotest.Shared(t, "captures/zeek")
	for _, line := range strings.Split(read(t, root+"/TRACE_TO_BASELINE.csv"), "\n")[1:] {
		parts := strings.SplitN(line, ",", 3)
		if len(parts) < 3 || !strings.HasPrefix(parts[0], "quic/") {
			continue
		}
		o := observe(t, filepath.Join(root, "Traces", parts[0]))
		if o == nil {
			continue
		}
		for _, baseline := range strings.Fields(parts[2]) {
			path := filepath.Join(root, baseline)
			if strings.HasPrefix(filepath.Base(baseline), "quic.log") && exists(path) {
				o.zeek(s, parts[0], read(t, path), map[string]zeekColumn{
					"server_name": {"quic", "client_hello", "sni"}, "client_protocol": {"quic", "client_hello", "alpn"},
				})
			}
			if strings.HasPrefix(filepath.Base(baseline), "ssl.log") && exists(path) {
				o.zeek(s, parts[0], read(t, path), map[string]zeekColumn{
					"version": {"quic", "server_hello", "tls_version"}, "cipher": {"quic", "server_hello", "cipher"},
				})
			}
		}
	}
}

// quicSuricata looks at the checks that name a fingerprint, or the value of the
// extension of names or of protocols.
func quicSuricata(t *testing.T, s *score) {
	root := repotest.Shared(t, "captures/suricata-verify")
	check := regexp.MustCompile(`(?m)^\s+quic\.(ja4|extensions\[\d+\]\.values\[0\]): "?([^"\n]*)"?$`)
	for _, path := range glob(t, root+"/*quic*/test.yaml") {
		dir := filepath.Dir(path)
		o := observe(t, filepath.Join(dir, "input.pcap"))
		if o == nil {
			continue
		}
		for _, m := range check.FindAllStringSubmatch(read(t, path), -1) {
			all := append(values(o.result.Facts, "quic", "", "sni"), values(o.result.Facts, "quic", "", "alpn")...)
			s.want("suricata", filepath.Base(dir), m[2], append(all, values(o.result.Facts, "quic", "", "ja4")...), noReason)
		}
	}
}

func quicArkime(t *testing.T, s *score) {
	root := repotest.Shared(t, "captures/arkime/pcap")
	for _, path := range glob(t, root+"/*quic*.test") {
		var want struct {
			Sessions3 []struct {
				Body struct {
					QUIC struct{ Host, UserAgent, Version []string }
				}
			}
		}
		if err := json.Unmarshal([]byte(read(t, path)), &want); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".test")
		o := observe(t, filepath.Join(root, name+".pcap"))
		if o == nil {
			continue
		}
		for _, x := range want.Sessions3 {
			for attribute, list := range map[string][]string{"sni": x.Body.QUIC.Host, "user_agent": x.Body.QUIC.UserAgent, "quic_version": x.Body.QUIC.Version} {
				for _, v := range list {
					s.want(attribute, name, v, values(o.result.Facts, "quic", "", attribute), noReason)
				}
			}
		}
	}
}
