package ndp_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

var (
	own   = proto.MAC{2, 0, 0, 0, 0, 1}
	other = proto.MAC{2, 0, 0, 0, 0, 9}
)

func ip(s string) string { return string(netip.MustParseAddr(s).AsSlice()) }

// opt is an option, filled up with zeros.
func opt(kind byte, parts ...string) string {
	v := strings.Join(parts, "")
	v += strings.Repeat("\x00", (8-(2+len(v))%8)%8)
	return string([]byte{kind, byte((2 + len(v)) / 8)}) + v
}

func msg(kind byte, head string, options ...string) string {
	return string([]byte{kind}) + "\x00\x00\x00" + head + strings.Join(options, "")
}

// frame is an Ethernet frame with ICMPv6.
func frame(src, dst string, ttl byte, body string) dissecttest.Frame {
	b := slices.Concat([]byte{0x33, 0x33, 0, 0, 0, 1}, own[:], []byte{0x86, 0xdd, 0x60, 0, 0, 0}, binary.BigEndian.AppendUint16(nil, uint16(len(body))), []byte{58, ttl}, []byte(ip(src)+ip(dst)+body))
	return dissecttest.Frame{LinkType: packet.LinkEthernet, Data: b, WireLen: len(b)}
}

func line(r *dissecttest.Result) string {
	var list []string
	for _, f := range r.Facts {
		a, err := f.Attributes.MarshalJSON()
		if err != nil {
			panic(err)
		}
		s := f.Subject
		list = append(list, strings.ReplaceAll(fmt.Sprintf("%s %d mac=%s ip=%s %s", f.Kind, s.Side, s.MAC, s.IP, a), "invalid IP", ""))
	}
	return strings.Join(list, "\n")
}

func TestMessages(t *testing.T) {
	for _, tc := range []struct {
		name, src, body string
		ttl             byte
		want            string
		counted         string
	}{
		{"solicitation", "fe80::1", msg(135, "\x00\x00\x00\x00"+ip("fe80::2"), opt(1, string(own[:]))), 255, `neighbor_solicitation 0 mac=02:00:00:00:00:01 ip=fe80::1 {"sender_ip":"fe80::1","sender_mac":"02:00:00:00:00:01","target_ip":"fe80::2"}`, ""},
		{"is the address free", "::", msg(135, "\x00\x00\x00\x00"+ip("fd00::7"), opt(14, "nonce1")), 255, `probe 0 mac=02:00:00:00:00:01 ip= {"sender_mac":"02:00:00:00:00:01","target_ip":"fd00::7"}`, ""},
		{"advertisement", "fe80::1", msg(136, "\x60\x00\x00\x00"+ip("fd00::7"), opt(2, string(own[:]))), 255, `neighbor_advertisement 0 mac=02:00:00:00:00:01 ip=fd00::7 {"override":"true","sender_ip":"fd00::7","sender_mac":"02:00:00:00:00:01","solicited":"true"}`, ""},
		{"for another", "fe80::1", msg(136, "\xa0\x00\x00\x00"+ip("fd00::9"), opt(2, string(other[:]))), 255, `neighbor_advertisement 0 mac=02:00:00:00:00:09 ip=fd00::9 {"frame_mac":"02:00:00:00:00:01","override":"true","role":"router","sender_ip":"fd00::9","sender_mac":"02:00:00:00:00:09"}`, ""},
		{"router solicitation", "fe80::1", msg(133, "\x00\x00\x00\x00", opt(1, string(own[:]))), 255, `router_solicitation 0 mac=02:00:00:00:00:01 ip=fe80::1 {"sender_ip":"fe80::1","sender_mac":"02:00:00:00:00:01"}`, ""},
		{
			"router advertisement", "fe80::1",
			msg(134, "\x40\xc8\x07\x08\x00\x00\x00\x00\x00\x00\x00\x00", opt(1, string(own[:])), opt(5, "\x00\x00\x00\x00\x05\xdc"), opt(3, "\x40\xc0", strings.Repeat("\x00", 12), ip("fd00:41::")),
				opt(24, "\x30\x18\x00\x00\x07\x08", ip("fd00:42::")[:8]), opt(25, "\x00\x00\x00\x00\x07\x08", ip("fd00::53"), ip("fd00::54")), opt(31, "\x00\x00\x00\x00\x07\x08\x04hosp\x07example\x00"), opt(99, "nobody")),
			255, `router_advertisement 0 mac=02:00:00:00:00:01 ip=fe80::1 {"dns_servers":["fd00::53","fd00::54"],"domain":"hosp.example","hop_limit":"64","lifetime_s":"1800","managed":"true","mtu":"1500","other_config":"true","preference":"high","prefixes":["fd00:41::/64"],"role":"router","routes":["fd00:42::/48"],"sender_ip":"fe80::1","sender_mac":"02:00:00:00:00:01"}`, "",
		},
		{"redirect", "fe80::1", msg(137, "\x00\x00\x00\x00"+ip("fe80::3")+ip("fd00::9")), 255, `redirect 0 mac=02:00:00:00:00:01 ip=fe80::1 {"destination_ip":"fd00::9","role":"router","sender_ip":"fe80::1","sender_mac":"02:00:00:00:00:01","target_ip":"fe80::3"}`, ""},
		{"from far away", "fd00::1", msg(136, "\x60\x00\x00\x00"+ip("fd00::7"), opt(2, string(own[:]))), 64, "", "ndp_not_of_the_link"},
		{"an option of no length", "fe80::1", msg(135, "\x00\x00\x00\x00"+ip("fe80::2"), "\x01\x00\x00\x00\x00\x00\x00\x00"), 255, "", "ndp_option_malformed"},
		{"an option beyond the end", "fe80::1", msg(135, "\x00\x00\x00\x00"+ip("fe80::2"), "\x01\x02\x00\x00\x00\x00\x00\x00"), 255, "", "ndp_option_malformed"},
		{"short", "fe80::1", msg(135, "\x00\x00\x00\x00"), 255, "", "ndp_short"},
		{"a group's MAC", "fe80::1", msg(136, "\x60\x00\x00\x00"+ip("fd00::7"), opt(2, "\x01\x00\x5e\x00\x00\x01")), 255, `neighbor_advertisement 0 mac=02:00:00:00:00:01 ip=fd00::7 {"override":"true","sender_ip":"fd00::7","sender_mac":"02:00:00:00:00:01","solicited":"true"}`, ""},
		{"echo", "fe80::1", msg(128, "\x00\x00\x00\x00nobody"), 255, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := dissecttest.Run(dissect.Config{}, []dissecttest.Frame{frame(tc.src, "ff02::1", tc.ttl, tc.body)})
			if got := line(r); got != tc.want || len(r.Panics) > 0 {
				t.Errorf("%v got\n%s\nwant\n%s", r.Panics, got, tc.want)
			}
			if tc.counted != "" && r.Counters[tc.counted] != 1 || tc.counted == "" && len(r.Counters) > 0 {
				t.Errorf("counted %v, want one %s", r.Counters, tc.counted)
			}
			if label := r.Flows[0].Protocol + r.Flows[0].By; (label == "ndpcontent") == (tc.name == "echo") {
				t.Errorf("label %s", label)
			}
			if strings.Contains(string(r.Everything()), "obody") {
				t.Errorf("a text leaves:\n%s", r.Everything())
			}
		})
	}
}

// Router discovery of IPv4.
func TestICMP(t *testing.T) {
	body := "\x09\x00\x00\x00\x02\x02\x07\x08\x0a\x01\x02\x01\x00\x00\x00\x00\x0a\x01\x02\x02\x00\x00\x00\x01"
	for b, want := range map[string]string{
		body:                            `router_advertisement 0 mac= ip= {"ips":["10.1.2.1","10.1.2.2"],"lifetime_s":"1800","role":"router"}`,
		body[:20]:                       "",
		"\x09\x03" + body[2:]:           "",
		"\x08\x00\x00\x00\x00\x01\x00a": "",
	} {
		raw := slices.Concat(make([]byte, 6), own[:], []byte{8, 0, 0x45, 0, 0, byte(20 + len(b)), 0, 0, 0, 0, 1, 1, 0, 0, 10, 1, 2, 1, 224, 0, 0, 1}, []byte(b))
		r := dissecttest.Run(dissect.Config{}, []dissecttest.Frame{{LinkType: packet.LinkEthernet, Data: raw, WireLen: len(raw)}})
		if got := line(r); got != want {
			t.Errorf("% x: %s, want %s", b, got, want)
		}
	}
}

// tcpdump prints what it reads of its own captures.
func TestTcpdump(t *testing.T) {
	patterns := map[string]*regexp.Regexp{
		"sender_mac": regexp.MustCompile(`source link-address option \(1\), length 8 \(1\): ([0-9a-f:]+)`), "prefixes": regexp.MustCompile(`prefix info option \(3\), length 32 \(4\): ([0-9a-f:/]+),`),
		"mtu": regexp.MustCompile(`mtu option \(5\), length 8 \(1\):  ?(\d+)`), "dns_servers": regexp.MustCompile(`addr: ([0-9a-f:]+)`), "lifetime_s": regexp.MustCompile(`router lifetime (\d+)s`), "domain": regexp.MustCompile(`domain\(s\): ([a-z]+\.[a-z]+)\. `),
	}
	same, total := 0, 0
	for _, name := range []string{"icmpv6"} {
		out, err := os.ReadFile(repotest.Shared(t, "captures/tcpdump/"+name+".out"))
		if err != nil {
			t.Fatal(err)
		}
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/tcpdump/"+name+".pcap")))
		for attribute, pattern := range patterns {
			for _, m := range pattern.FindAllStringSubmatch(string(out), -1) {
				found := false
				for _, f := range r.Facts {
					found = found || slices.Contains(append(f.Attributes.List(attribute), f.Attributes.Get(attribute)), m[1])
				}
				if total++; found {
					same++
				} else {
					t.Errorf("%s: no %s %s in\n%s", name, attribute, m[1], r.Text())
				}
			}
		}
	}
	t.Logf("%d of %d equal", same, total)
	if total < 7 {
		t.Errorf("only %d values were compared", total)
	}
}

func TestCanaries(t *testing.T) {
	s := canary.New([]string{"Canarella"})
	b := msg(134, "\x40\xc8\x07\x08\x00\x00\x00\x00\x00\x00\x00\x00", opt(37, "https://portal/Canarella"), opt(99, "Canarella"), opt(1, string(own[:]), "Canarella"), opt(5, "\x00\x00Canarella"), opt(26, "Canarella"))
	whole := packet.Headers{
		SrcMAC: own, DstMAC: proto.MAC{0x33, 0x33, 0, 0, 0, 1}, SrcIP: netip.MustParseAddr("fe80::77:1"), DstIP: netip.MustParseAddr("ff02::1"), EtherType: packet.EtherTypeIPv6, Transport: proto.ICMP6, TTL: 255, Header: []byte(b[:8]), Payload: []byte(b[8:]),
	} // with the hops that neighbours have
	short := whole
	short.Payload = whole.Payload[:len(whole.Payload)-20]
	dissecttest.Planted(t, "ndp", []string{"Canarella"}, []packet.Headers{whole, short})
	for cut := range len(b) + 1 {
		r := dissecttest.Run(dissect.Config{}, []dissecttest.Frame{frame("fe80::1", "ff02::1", 255, b[:cut])})
		if hits := s.Search(r.Everything()); len(hits) > 0 {
			t.Fatalf("cut at %d: %v", cut, hits)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(msg(136, "\x60\x00\x00\x00"+ip("fd00::7"), opt(2, string(own[:]))))
	f.Add(msg(134, "\x40\xc8\x07\x08\x00\x00\x00\x00\x00\x00\x00\x00", opt(3, "\x40\xc0", strings.Repeat("\x00", 12), ip("fd00:41::")), opt(24, "\x30\x18\x00\x00\x07\x08"), opt(25, "\x00\x00\x00\x00\x07\x08", ip("fd00::53")), opt(31, "\x00\x00\x00\x00\x07\x08\x04hosp\x00")))
	f.Fuzz(func(t *testing.T, b string) {
		if r := dissecttest.Run(dissect.Config{}, []dissecttest.Frame{frame("fe80::1", "ff02::1", 255, b)}); len(r.Panics) > 0 || len(r.Facts) > 1 {
			t.Fatal(r.Panics, len(r.Facts))
		}
	})
}
