package peers

import (
	"crypto/md5" //nolint:gosec // JA3 is defined with MD5
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// SuricataTest is a test of suricata-verify: what its events must say.
type SuricataTest struct {
	Name    string
	Capture string
	Checks  []SuricataCheck
}

// SuricataCheck is one filter: an event with these values.
type SuricataCheck struct {
	Count int
	Match map[string]any
}

// Suricata reads the tests below the folder of captures.
func Suricata(captures string) ([]SuricataTest, error) {
	paths, err := filepath.Glob(filepath.Join(captures, "suricata-verify", "*", "test.yaml"))
	if err != nil {
		return nil, fmt.Errorf("look for suricata-verify: %w", err)
	}
	var list []SuricataTest
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read test: %w", err)
		}
		var doc struct {
			Checks []struct {
				Filter struct {
					Count any            `yaml:"count"`
					Match map[string]any `yaml:"match"`
				} `yaml:"filter"`
			} `yaml:"checks"`
		}
		if yaml.Unmarshal(b, &doc) != nil {
			continue // not one of ours to mend
		}
		dir := filepath.Dir(path)
		t := SuricataTest{Name: filepath.Base(dir)}
		if pcaps, err := filepath.Glob(filepath.Join(dir, "*.pcap*")); err == nil && len(pcaps) > 0 {
			t.Capture = "suricata-verify/" + t.Name + "/" + filepath.Base(pcaps[0])
		}
		for _, c := range doc.Checks {
			count, ok := c.Filter.Count.(int)
			if !ok {
				count = -1
			}
			if len(c.Filter.Match) > 0 {
				t.Checks = append(t.Checks, SuricataCheck{Count: count, Match: c.Filter.Match})
			}
		}
		if t.Capture != "" && len(t.Checks) > 0 {
			list = append(list, t)
		}
	}
	return list, nil
}

// suricataFields are the fields that are compared: a value of Suricata's must be
// among ours of the whole capture.
var suricataFields = map[string]struct {
	protocol, kind, attribute string
	convert                   func(string) string
}{
	"tls.ja3.string":              {"", "", "ja3", md5Of},
	"tls.ja3.hash":                {"", "", "ja3", nil},
	"tls.ja4":                     {"tls", "", "ja4", nil},
	"tls.sni":                     {"tls", "", "sni", nil},
	"tls.version":                 {"tls", "server_hello", "tls_version", suricataTLSVersion},
	"dhcp.dhcp_type":              {"dhcp", "", Kind, nil},
	"dhcp.lease_time":             {"dhcp", "", "lease_s", nil},
	"dhcp.client_mac":             {"dhcp", "", MAC, nil},
	"dhcp.routers[0]":             {"dhcp", "", "router", nil},
	"dns.rcode":                   {"dns", "response", "rcode", nil},
	"dns.rrtype":                  {"dns", "", "qtype", nil},
	"dns.queries[0].rrtype":       {"dns", "", "qtype", nil},
	"dns.rrname":                  {"dns", "", "domain", domain},
	"dns.queries[0].rrname":       {"dns", "", "domain", domain},
	"snmp.version":                {"snmp", "", "snmp_version", snmpVersion},
	"snmp.pdu_type":               {"snmp", "", Kind, snmpKind},
	"quic.ja4":                    {"quic", "", "ja4", nil},
	"ssh.client.hassh.hash":       {"ssh", "", "hassh", nil},
	"ssh.server.hassh.hash":       {"ssh", "", "hassh_server", nil},
	"ssh.client.software_version": {"ssh", "banner", "software", nil},
	"ssh.server.software_version": {"ssh", "banner", "software", nil},
	"smb.dialect":                 {"smb", "negotiate_response", "dialect", suricataDialect},
	"smb.server_guid":             {"smb", "", "server_guid", nil},
	"smb.client_guid":             {"smb", "", "client_guid", nil},
	"smb.ntlmssp.host":            {"", "ntlm_authenticate", "computer_name", nil},
	"smb.ntlmssp.domain":          {"", "ntlm_authenticate", "netbios_domain", nil},
	"smb.request.native_os":       {"smb", "", "native_os", nil},
	"smb.request.native_lm":       {"smb", "", "native_lan_manager", nil},
	"smb.response.native_os":      {"smb", "", "native_os", nil},
	"smb.response.native_lm":      {"smb", "", "native_lan_manager", nil},
	"http.hostname":               {"http", "", "host", nil},
	"http.http_user_agent":        {"http", "", "user_agent", nil},
}

// CompareSuricata compares a capture's flows and facts with a test.
func (r *Report) CompareSuricata(o *Observed, t *SuricataTest) {
	r.suricataFlows(o, t)
	for _, c := range t.Checks {
		if c.Count == 0 {
			continue // what must not be
		}
		for _, name := range slices.Sorted(maps.Keys(c.Match)) {
			v := c.Match[name]
			if strings.HasPrefix(name, "quic.extensions[") && strings.HasSuffix(name, "].values[0]") {
				ours := append(Values(o.Facts, "quic", "", "sni"), Values(o.Facts, "quic", "", "alpn")...)
				r.want("Suricata", "quic sni and alpn", o, "capture", text(v), ours)
			}
			f, ok := suricataFields[name]
			value := text(v)
			if !ok || f.attribute == "" {
				continue
			}
			if f.convert != nil {
				value = f.convert(value)
			}
			if value == "" {
				continue
			}
			r.want("Suricata", strings.TrimPrefix(f.protocol+" "+f.attribute, " "), o, "capture", value, Values(o.Facts, f.protocol, f.kind, f.attribute))
		}
	}
}

// suricataFlows compares the events of flows. Suricata tells ESP's flows apart by
// their index, which has no place in ours: they are put together.
func (r *Report) suricataFlows(o *Observed, t *SuricataTest) {
	sum := map[Ends]*[2]uint64{}
	var order []Ends
	for _, c := range t.Checks {
		a, err1 := netip.ParseAddr(text(c.Match["src_ip"]))
		b, err2 := netip.ParseAddr(text(c.Match["dest_ip"]))
		if c.Match["event_type"] != "flow" || err1 != nil || err2 != nil || c.Count != 1 {
			continue
		}
		sp, _ := strconv.ParseUint(text(c.Match["src_port"]), 10, 16)
		dp, _ := strconv.ParseUint(text(c.Match["dest_port"]), 10, 16)
		transport := strings.ToLower(text(c.Match["proto"]))
		switch {
		case transport == "icmp" && a.Is6(), transport == "ipv6-icmp":
			transport = "icmp6"
		case transport == "" && c.Match["spi"] != nil:
			transport = "50"
		}
		src := netip.AddrPortFrom(a, uint16(sp))
		e := EndsOf(transport, src, netip.AddrPortFrom(b, uint16(dp)))
		if id := text(c.Match["community_id"]); id != "" {
			var ours []string
			for _, f := range o.Flows[e] {
				ours = append(ours, f.CommunityID)
			}
			r.want("Suricata", "community_id", o, o.where(e), id, ours)
		}
		up, err1 := strconv.ParseUint(text(c.Match["flow.pkts_toserver"]), 10, 64)
		down, err2 := strconv.ParseUint(text(c.Match["flow.pkts_toclient"]), 10, 64)
		if err1 != nil || err2 != nil {
			continue
		}
		if sum[e] == nil {
			sum[e] = new([2]uint64)
			order = append(order, e)
		}
		side := 0
		if netip.AddrPortFrom(a, e.A.Port()) != e.A {
			side = 1
		}
		sum[e][side] += up
		sum[e][1-side] += down
	}
	for _, e := range order {
		r.packets("Suricata", o, e, *sum[e])
	}
}

func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func suricataTLSVersion(v string) string {
	return map[string]string{"TLS 1.0": "1.0", "TLSv1": "1.0", "TLS 1.1": "1.1", "TLS 1.2": "1.2", "TLS 1.3": "1.3", "SSLv3": "ssl3"}[v]
}

// suricataDialect is ours for Suricata's; unknown is its word for a session that it
// joined late.
func suricataDialect(v string) string {
	switch v {
	case "unknown":
		return ""
	case "2.02":
		return "2.0.2"
	case "2.10":
		return "2.1"
	case "3.00":
		return "3.0"
	case "3.02":
		return "3.0.2"
	case "3.11":
		return "3.1.1"
	}
	return v
}

func md5Of(s string) string {
	sum := md5.Sum([]byte(s)) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}
