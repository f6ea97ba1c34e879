package dns_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

func be16(n ...int) (b []byte) {
	for _, x := range n {
		b = binary.BigEndian.AppendUint16(b, uint16(x))
	}
	return b
}

func name(s string) (b []byte) {
	for _, l := range strings.Split(s, ".") {
		if l != "" {
			b = append(append(b, byte(len(l))), l...)
		}
	}
	return append(b, 0)
}

const (
	query    = 0x0100
	response = 0x8180
)

func message(flags, qd, an, ns, ar int, parts ...[]byte) []byte {
	return append(be16(0x1234, flags, qd, an, ns, ar), slices.Concat(parts...)...)
}

func ask(s string, qtype int) []byte { return append(name(s), be16(qtype, 1)...) }

func rr(owner []byte, kind int, data []byte) []byte {
	return slices.Concat(owner, be16(kind, 1, 0, 60, len(data)), data)
}

var (
	to53   = [2]uint16{40000, 53}
	toAny  = [2]uint16{40000, 9999}
	toMDNS = [2]uint16{5353, 5353}
	ptr    = []byte{0xc0, 12} // to the first question
)

func TestDatagrams(t *testing.T) {
	addr := netip.MustParseAddr
	v6 := addr("fd00::7").As16()
	inside := addr("10.9.8.7").As4()
	outside := addr("203.0.113.7").As4()
	for _, tc := range []struct {
		name  string
		ports [2]uint16
		data  []byte
		label string
		want  []string
	}{
		{"query", to53, message(query, 1, 0, 0, 0, ask("Data12.Tunnel.Example.COM", 1)), "dns content", []string{`dns query side=0 mac= ip=invalid IP equipment="" gateway=0 {"domain":"example.com","entropy":"3.08","labels":"4","name_len":"25","qtype":"A","role":"client"}`}},
		{"elsewhere", toAny, message(query, 1, 0, 0, 0, ask("a.example.com", 28)), "dns content", []string{`"qtype":"AAAA"`}},
		{"with EDNS", toAny, message(query, 1, 0, 0, 1, ask("a.example.com", 1), rr([]byte{0}, 41, nil)), "dns content", []string{"query"}},
		{"inside answer", to53, message(response, 1, 1, 0, 0, ask("PACS.hosp.local", 1), rr(ptr, 1, inside[:])), "dns content", []string{`"answers_count":"1"`, `dns name side=2 mac= ip=10.9.8.7 equipment="" gateway=0 {"hostname":"pacs.hosp.local"}`}},
		{"inside answer in IPv6", to53, message(response, 1, 1, 0, 0, ask("pacs.hosp.local", 28), rr(ptr, 28, v6[:])), "dns content", []string{"response", "ip=fd00::7"}},
		{"outside answer", to53, message(response, 1, 1, 0, 0, ask("www.example.com", 1), rr(ptr, 1, outside[:])), "dns content", []string{"response"}},
		{"the alias is not the host", to53, message(response, 1, 2, 0, 0, ask("images.hosp.local", 1), rr(ptr, 5, name("pacs1.hosp.local")), rr(name("pacs1.hosp.local"), 1, inside[:])), "dns content", []string{"response", `{"hostname":"pacs1.hosp.local"}`}},
		{"reverse", to53, message(response, 1, 1, 0, 0, ask("7.8.9.10.in-addr.arpa", 12), rr(ptr, 12, name("ct1.hosp.local"))), "dns content", []string{`"domain":"in-addr.arpa"`, `ip=10.9.8.7 equipment="" gateway=0 {"hostname":"ct1.hosp.local"}`}},
		{"reverse of an outside host", to53, message(response, 1, 1, 0, 0, ask("7.113.0.203.in-addr.arpa", 12), rr(ptr, 12, name("x.example.com"))), "dns content", []string{"response"}},
		{"of the server itself", to53, message(response, 1, 1, 0, 0, ask("ns.hosp.local", 1), rr(ptr, 1, []byte{10, 1, 2, 4})), "dns content", []string{"response", "name side=1 mac= ip=10.1.2.4"}},
		{"unknown type", to53, message(query, 1, 0, 0, 0, ask("a.b", 4711)), "dns content", []string{`"qtype":"TYPE4711"`}},
		{"no name", to53, message(query, 1, 0, 0, 0, ask("", 2)), "dns content", []string{`"labels":"0","name_len":"0"`}},
		{"one label", to53, message(query, 1, 0, 0, 0, ask("patients", 1)), "dns content", []string{`{"entropy":"0.00","labels":"1"`}},
		{"binary labels", to53, message(query, 1, 0, 0, 0, ask("\xff\x01=.t.example.org", 10)), "dns content", []string{`"domain":"example.org"`}},
		{"failure", to53, message(0x8183, 1, 0, 0, 0, ask("a.b.c", 1)), "dns content", []string{`"rcode":"NXDOMAIN"`}},
		{"update", to53, message(0x2800, 1, 0, 0, 0, ask("hosp.local", 6)), "dns content", []string{`dns update side=0 mac= ip=invalid IP equipment="" gateway=0 {"domain":"hosp.local","entropy":"0.00","labels":"2","name_len":"10","qtype":"SOA","role":"client"}`}},
		{
			"a host registers itself", to53, message(0x2800, 1, 1, 2, 0, ask("hosp.local", 6), slices.Concat(name("pcu-1.hosp.local"), be16(5, 254, 0, 0, 0)), slices.Concat(name("pcu-1.hosp.local"), be16(1, 255, 0, 0, 0)), rr(name("pcu-1.hosp.local"), 1, []byte{10, 1, 2, 3})),
			"dns content",
			[]string{"dns update", `dns name side=0 mac= ip=10.1.2.3 equipment="" gateway=0 {"hostname":"pcu-1.hosp.local"}`},
		},
		{"an update refused", to53, message(0xa805, 1, 0, 0, 0, ask("hosp.local", 6)), "dns content", []string{`dns update_response side=1 mac= ip=invalid IP equipment="" gateway=0 {"domain":"hosp.local","entropy":"0.00","labels":"2","name_len":"10","qtype":"SOA","rcode":"REFUSED","role":"server"}`}},
		{"notify", to53, message(0x2400, 1, 0, 0, 0, ask("hosp.local", 6)), "dns content", []string{`dns notify side=0 mac= ip=invalid IP equipment="" gateway=0 {"domain":"hosp.local","entropy":"0.00","labels":"2","name_len":"10","qtype":"SOA","role":"client"}`}},
		{"an inverse query", to53, message(0x0800, 1, 0, 0, 0, ask("a.b", 1)), "dns content", nil},
		{"what EDNS says", to53, message(query, 1, 0, 0, 1, ask("a.b", 1), slices.Concat([]byte{0}, be16(41, 1232, 0, 0x8000, 0))), "dns content", []string{`{"dnssec_ok":"true","domain":"a.b","edns_udp_bytes":"1232","edns_version":"0","entropy":"0.00"`}},
		{"a result of sixteen and more", to53, message(0x8580, 1, 0, 0, 1, ask("a.b", 1), slices.Concat([]byte{0}, be16(41, 1232, 0x0101, 0, 0))), "dns content", []string{`"rcode":"BADVERS","recursion":"true"`}},
		{"authoritative, cut", to53, message(0x8600, 1, 0, 0, 0, ask("a.b", 1)), "dns content", []string{`{"answers_count":"0","authoritative":"true","domain":"a.b","entropy":"0.00","labels":"2","name_len":"3","qtype":"A","rcode":"NOERROR","role":"server","truncated":"true"}`}},
		{"mDNS", toMDNS, message(0x8400, 0, 1, 0, 1, rr(name("_ipp._tcp.local"), 12, name("Printer of Mr Nobody._ipp._tcp.local")), rr(name("prn1.local"), 1, []byte{10, 1, 2, 3})), "mdns content", []string{`mdns response side=0 mac= ip=invalid IP equipment="" gateway=0 {"answers_count":"1","entropy":"1.50","labels":"3","name_len":"15","qtype":"PTR","rcode":"NOERROR","role":"server","service_types":["_ipp._tcp"]}`, `mdns name side=0 mac= ip=10.1.2.3 equipment="" gateway=0 {"hostname":"prn1.local"}`}},
		{"LLMNR", [2]uint16{50000, 5355}, message(0, 1, 0, 0, 0, ask("nobodys-laptop", 1)), "llmnr content", []string{`"labels":"1"`}},
		{"loop of pointers", to53, message(query, 1, 0, 0, 0, []byte{0xc0, 12}, be16(1, 1)), "dns port", nil},
		{"pointers to each other", to53, message(query, 1, 0, 0, 0, []byte{0xc0, 14, 0xc0, 12}, be16(1, 1)), "dns port", nil},
		{"name beyond the end", to53, message(query, 1, 0, 0, 0, []byte{63, 'a'}), "dns port", nil},
		{"NetBIOS", [2]uint16{137, 137}, message(0x0110, 1, 0, 0, 0, ask("CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 33)), "netbios content", []string{"netbios node_status_query"}},
		{"rubbish", toAny, []byte("this is not at all a DNS message, or is it?"), " ", nil},
		{"almost", toAny, message(query, 1, 0, 0, 0, ask("a.example.com", 1), []byte("tail")), " ", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			side := 0
			if len(tc.data) > 3 && tc.data[2]&0x80 != 0 && tc.ports == to53 {
				side = 1
			}
			opener := dissecttest.Datagram(0, tc.ports, nil)
			r := dissecttest.Play(dissect.Config{}, []packet.Headers{opener, dissecttest.Datagram(side, tc.ports, tc.data)})
			if len(r.Panics) > 0 {
				t.Fatal(r.Panics)
			}
			if f := r.Flows[0]; f.Protocol+" "+f.By != tc.label {
				t.Errorf("label %s by %s, want %s", f.Protocol, f.By, tc.label)
			}
			got := slices.DeleteFunc(strings.Split(r.Text(), "\n"), func(s string) bool { return s == "" })
			if len(got) != len(tc.want) {
				t.Fatalf("facts:\n%s", r.Text())
			}
			for i := range got {
				if !strings.Contains(got[i], tc.want[i]) {
					t.Errorf("%s, want %s", got[i], tc.want[i])
				}
			}
			if all := r.Text(); strings.Contains(all, "obody") || strings.Contains(all, "data12") || strings.Contains(all, "patients") {
				t.Error("a looked-up name leaves the parser")
			}
		})
	}
}

// tcp puts the length before a message.
// TestCanaries plants what is looked up, and what it is answered: of a name only the
// domain leaves.
func TestCanaries(t *testing.T) {
	const host, free = "canarella-laptop", "note of canary"
	secrets := []string{host, free}
	texts := [][]byte{rr(ptr, 16, append([]byte{byte(len(free))}, free...)), rr(ptr, 99, append([]byte{byte(len(free))}, free...)), rr(ptr, 4711, []byte(free))}
	ask1 := message(query, 1, 0, 0, 0, ask(host+".ward.example.org", 16))
	told := message(response, 1, len(texts), 0, 0, ask(host+".ward.example.org", 16), slices.Concat(texts...))
	c := dissecttest.Conversation{{Side: 0, Data: tcp(ask1)}, {Side: 1, Data: tcp(told)}}
	dissecttest.NoLeakOn(t, 53, secrets, c)
	list := dissecttest.OnPort(53, c.Segments(true))
	dissecttest.Planted(
		t, "dns", secrets, list, dissecttest.Datagrams(to53, ask1, message(query, 1, 0, 0, 0, ask(free+".example.org", 1))), []packet.Headers{dissecttest.Datagram(0, to53, ask1), dissecttest.Datagram(1, [2]uint16{53, 40000}, told)},
		dissecttest.Datagrams([2]uint16{50000, 5355}, message(0, 1, 0, 0, 0, ask(host, 1)), message(0, 1, 0, 0, 0, ask(free, 255))),
	)
}

func tcp(m []byte) []byte { return append(be16(len(m)), m...) }

func TestStream(t *testing.T) {
	q := tcp(message(query, 1, 0, 0, 0, ask("a.example.com", 1)))
	big := message(response, 1, 300, 0, 0, ask("a.example.com", 16))
	for range 300 {
		big = append(big, rr(ptr, 16, []byte(strings.Repeat("x", 200)))...)
	}
	c := dissecttest.Conversation{{Side: 0, Data: slices.Concat(q, q, q)}, {Side: 1, Data: slices.Concat(tcp(big), tcp(message(response, 1, 0, 0, 0, ask("a.example.com", 1))))}}
	want := dissecttest.Play(dissect.Config{}, c.Segments(true))
	if k := want.Kinds(); k["dns query"] != 3 || k["dns response"] != 2 || want.Flows[0].By != proto.ByContent {
		t.Fatalf("%v %v\n%s", k, want.Counters, want.Text())
	}
	for i := range 3*len(q) + 100 {
		if got := dissecttest.Play(dissect.Config{}, c.Cut(i, 2*i).Segments(true)).Text(); got != want.Text() {
			t.Fatalf("cut at %d: got\n%s", i, got)
		}
	}
	// A lost segment costs the messages in it; one that begins with a message
	// finds the way back.
	lost := dissecttest.Conversation{{Side: 0, Data: q}, {Side: 0, Data: q[:10]}, {Side: 0, Data: q[10:]}, {Side: 0, Data: q}}.Segments(true)
	r := dissecttest.Play(dissect.Config{}, append(lost[:3:3], lost[4:]...))
	if k := r.Kinds(); k["dns query"] != 2 {
		t.Errorf("%v %v", k, r.Counters)
	}
}

// What peers say of shared captures: nDPI's result files and suricata-verify's
// test.yaml (flows of the protocol, requests, answers).
func TestCaptures(t *testing.T) {
	for _, tc := range []struct {
		file                      string
		flows, queries, responses int
	}{
		{"nDPI/pcap/dns-exf.pcap", 1, 1, 1},
		{"nDPI/pcap/dns-invalid-chars.pcap", 1, 1, 1},
		{"nDPI/pcap/dns_long_domainname.pcap", 1, 1, 1},
		{"nDPI/pcap/bad-dns-traffic.pcap", 3, 220, 162}, // 382 packets
		{"nDPI/pcap/dns_fragmented.pcap", 21, 22, 21},
		{"suricata-verify/dns-eve-v2-udp-nxdomain-soa/dns-udp-nxdomain-soa.pcap", 1, 1, 1},
		{"suricata-verify/dns/dns-eve/input.pcap", 4, 4, 4},
		{"suricata-verify/dns-reversed-tcp-1/dns.pcap", 1, 0, 1},
		{"suricata-verify/dns/dns-forward-pointer/input.pcap", 1, 1, 1},
	} {
		t.Run(tc.file, func(t *testing.T) {
			r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+tc.file)))
			flows := 0
			for _, f := range r.Flows {
				if f.Protocol == "dns" && f.By == proto.ByContent {
					flows++
				}
			}
			if k := r.Kinds(); flows != tc.flows || k["dns query"] != tc.queries || k["dns response"] != tc.responses {
				t.Errorf("%d flows, %v, want %d, %d, %d", flows, k, tc.flows, tc.queries, tc.responses)
			}
		})
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add(message(query, 1, 0, 0, 0, ask("a.example.com", 1)), uint16(53))
	f.Add(message(response, 1, 1, 0, 0, ask("7.8.9.10.in-addr.arpa", 12), rr(ptr, 12, name("ct1.hosp.local"))), uint16(5353))
	f.Fuzz(func(t *testing.T, b []byte, port uint16) {
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, port}, b), dissecttest.Datagram(1, [2]uint16{40000, port}, b)})
		if len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}

func FuzzStream(f *testing.F) {
	q := tcp(message(query, 1, 0, 0, 0, ask("a.example.com", 1)))
	f.Add(slices.Concat(q, q), 3)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		c := dissecttest.Conversation{{Data: q}, {Data: b}}
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut).Segments(true))
		if len(got.Panics) > 0 || got.Text() != want.Text() {
			t.Fatalf("%v got\n%swant\n%s", got.Panics, got.Text(), want.Text())
		}
	})
}
