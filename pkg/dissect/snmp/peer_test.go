package snmp_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

var (
	zeekEvent = regexp.MustCompile(`^snmp_(\w+)$`)
	zeekEnds  = regexp.MustCompile(`orig_h=([^,]+), orig_p=(\d+)/udp, resp_h=([^,]+),`)
	zeekValue = regexp.MustCompile(`^\s+value \(tag=0x04\): (.*)$`)
)

// zeekKinds are our words for Zeek's events.
var zeekKinds = map[string]string{"get_request": "get", "get_next_request": "get_next", "get_bulk_request": "get_bulk", "set_request": "set", "response": "response", "trap": "trap", "report": "report"}

// TestZeek compares with what Zeek's own tests print of each message: the kinds
// of messages of a flow, and names and places.
func TestZeek(t *testing.T) {
	same, total := 0, 0
	// One capture has the messages of all.
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/zeek/Traces/snmp/leak_test.pcapng")))
	for _, baseline := range []string{"v1/out1", "v1/out2", "v1/out3", "v1/out4", "v3/out1"} {
		b, err := os.ReadFile(repotest.Shared(t, "captures/zeek/Baseline/scripts.base.protocols.snmp."+baseline))
		if err != nil {
			t.Fatal(err)
		}
		kind, who, object := "", "", ""
		for _, line := range strings.Split(string(b), "\n") {
			want, got := "", []string(nil)
			if m := zeekEvent.FindStringSubmatch(line); m != nil {
				kind = zeekKinds[m[1]]
				continue
			}
			if m := zeekEnds.FindStringSubmatch(line); m != nil {
				who, want = m[1]+" "+m[2], kind
				got = of(r, who, "")
			} else if o, ok := strings.CutPrefix(strings.TrimSpace(line), "oid: "); ok {
				object = o
			} else if m := zeekValue.FindStringSubmatch(line); m != nil && kind == "response" && m[1] != "" {
				switch object {
				case "1.3.6.1.2.1.1.5.0":
					want, got = m[1], of(r, who, "system_name")
				case "1.3.6.1.2.1.1.6.0":
					want, got = m[1], of(r, who, "location")
				}
			}
			if want == "" {
				continue
			}
			total++
			if slices.Contains(got, want) {
				same++
			} else if !strings.Contains(want, "'s ") { // "Chandra's cube" names somebody
				t.Errorf("%s %s %s: %q, want %q", baseline, who, object, got, want)
			}
		}
	}
	t.Logf("%d of %d equal", same, total)
	if total < 10 {
		t.Errorf("only %d values were compared", total)
	}
}

// of gives the kinds of a flow's facts, or the values of an attribute.
func of(r *dissecttest.Result, who, attribute string) (list []string) {
	for _, f := range r.Facts {
		if src := netip.AddrPortFrom(f.SrcIP, f.SrcPort); src.Addr().String()+" "+src.String()[strings.LastIndexByte(src.String(), ':')+1:] != who {
			continue
		}
		if attribute == "" {
			list = append(list, f.Kind)
		} else if v := f.Attributes.Get(attribute); v != "" {
			list = append(list, v)
		}
	}
	return list
}

// TestArkime compares the kinds of messages with those of the sessions that
// Arkime's own tests expect.
func TestArkime(t *testing.T) {
	names := map[string]string{"GetRequest": "get", "GetNextRequest": "get_next", "GetBulkRequest": "get_bulk", "SetRequest": "set", "GetResponse": "response", "Trap": "trap"}
	same, total := 0, 0
	for _, name := range []string{"SNMPv2c_get_requests", "snmpv3_synthetic"} {
		b, err := os.ReadFile(repotest.Shared(t, "captures/arkime/pcap/"+name+".test"))
		if err != nil {
			t.Fatal(err)
		}
		var want struct {
			Sessions3 []struct {
				Body struct {
					Source struct {
						IP   string
						Port int
					}
					SNMP struct{ Type []string }
				}
			}
		}
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/arkime/pcap/"+name+".pcap")))
		for _, s := range want.Sessions3 {
			for _, kind := range s.Body.SNMP.Type {
				total++
				found := false
				for _, f := range r.Facts {
					found = found || f.SrcIP.String() == s.Body.Source.IP && int(f.SrcPort) == s.Body.Source.Port && f.Kind == names[kind]
				}
				if found {
					same++
				} else {
					t.Errorf("%s: no %s from %s", name, kind, s.Body.Source.IP)
				}
			}
		}
	}
	t.Logf("%d of %d equal", same, total)
	if total < 10 {
		t.Errorf("only %d values were compared", total)
	}
}
