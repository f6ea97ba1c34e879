package lldp_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// printed are the fields that tcpdump -v prints of LLDP, and under which name we
// have them.
var printed = []struct {
	is   *regexp.Regexp
	name string
}{
	{regexp.MustCompile(`Chassis ID TLV.*\n\s+Subtype [^:]*: (.*)`), "chassis_id"},
	{regexp.MustCompile(`Port ID TLV.*\n\s+Subtype [^:]*: (.*)`), "port_id"},
	{regexp.MustCompile(`Time to Live TLV.*TTL (\d+)s`), "ttl_s"},
	{regexp.MustCompile(`System Name TLV[^:]*: (.*)`), "system_name"},
	{regexp.MustCompile(`System Description TLV.*\n\s+(.*)`), "system_description"},
	{regexp.MustCompile(`Port Description TLV[^:]*: (.*)`), "port_description"},
	{regexp.MustCompile(`System  Capabilities \[(.*)\]`), "capabilities"},
	{regexp.MustCompile(`Enabled Capabilities \[(.*)\]`), "capabilities_enabled"},
	{regexp.MustCompile(`port vlan id \(PVID\): (\d+)`), "port_vlan"},
	{regexp.MustCompile(`autonegotiation \[([^\]]*)\]`), "autonegotiation"},
	{regexp.MustCompile(`MAU type (.*) \(0x`), "mau_type"},
	{regexp.MustCompile(`vlan name: (.*)`), "vlans"},
}

// ours says a printed value our way: tcpdump has the words of RFC 4836 and IEEE,
// prints a line break as ^J (we keep the first line), and no dashes in 100BASETX.
var ours = map[string]func(string) string{
	"capabilities":         words,
	"capabilities_enabled": words,
	"system_description":   func(s string) string { first, _, _ := strings.Cut(s, "^J"); return first },
	"autonegotiation": func(s string) string {
		return map[string]string{"supported, enabled": "enabled", "supported": "disabled", "none": "unsupported"}[s]
	},
	"mau_type": func(s string) string {
		return strings.NewReplacer("100BASETX fdx", "100BASE-TX full", "1000BASET fdx", "1000BASE-T full").Replace(s)
	},
	"vlans": func(s string) string { return "1:" + s },
}

func words(s string) string {
	return strings.NewReplacer("WLAN AP", "access_point", "Station Only", "station", "Bridge", "bridge", "Router", "router", "Telephone", "telephone", ", ", ",").Replace(s)
}

// TestPeer compares every field that tcpdump prints of its captures with ours.
func TestPeer(t *testing.T) {
	same, fields := 0, 0
	for pcap, out := range map[string]string{"LLDP_and_CDP.pcap": "lldp_cdp-ev.out", "dcb_ets.pcap": "dcb_ets.out", "lldp-infinite-loop-1.pcap": "lldp-infinite-loop-1.out"} {
		text, err := os.ReadFile(repotest.Shared(t, "captures/tcpdump/"+out))
		if err != nil {
			t.Fatal(err)
		}
		frames := regexp.MustCompile(`(?m)^ +\d+  `).Split(string(text), -1)
		frames = frames[1:]
		facts := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/tcpdump/"+pcap))).Facts
		for _, f := range frames {
			if !strings.Contains(f, "LLDP, length") {
				continue
			}
			for len(facts) > 0 && facts[0].Protocol != "lldp" {
				facts = facts[1:]
			}
			if len(facts) == 0 {
				t.Fatalf("%s: tcpdump has more frames", pcap)
			}
			for _, p := range printed {
				m := p.is.FindStringSubmatch(f)
				if m == nil {
					continue
				}
				want := m[1]
				if say := ours[p.name]; say != nil {
					want = say(want)
				}
				got := facts[0].Attributes.Get(p.name)
				if list := facts[0].Attributes.List(p.name); list != nil {
					got = strings.Join(list, ",")
				}
				fields++
				if got == want {
					same++
				} else {
					t.Errorf("%s: %s %q, tcpdump has %q", pcap, p.name, got, want)
				}
			}
			facts = facts[1:]
		}
	}
	t.Logf("%d of %d fields as tcpdump prints them", same, fields)
	if fields < 200 {
		t.Errorf("only %d fields: the pattern no longer fits", fields)
	}
}
