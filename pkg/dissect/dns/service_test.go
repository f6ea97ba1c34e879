package dns_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

func ttl(owner string, kind, seconds int, data []byte) []byte {
	return slices.Concat(name(owner), be16(kind, 0x8001, 0, seconds, len(data)), data)
}

func srv(owner string, port int, target string) []byte {
	return ttl(owner, 33, 120, append(be16(0, 0, port), name(target)...))
}

func txt(owner string, pairs ...string) []byte {
	var b []byte
	for _, p := range pairs {
		b = append(append(b, byte(len(p))), p...)
	}
	return ttl(owner, 16, 120, b)
}

func ptrTo(owner, to string) []byte { return ttl(owner, 12, 120, name(to)) }

func address4(owner, ip string) []byte {
	return ttl(owner, 1, 120, netip.MustParseAddr(ip).AsSlice())
}

func mdns(flags, qd, an, ns, ar int, parts ...[]byte) *dissecttest.Result {
	h := dissecttest.Datagram(0, toMDNS, message(flags, qd, an, ns, ar, parts...)) // from 10.1.2.3
	return dissecttest.Play(dissect.Config{}, []packet.Headers{h})
}

const answer = 0x8400

func TestServices(t *testing.T) {
	const printer = "Printer of Mr Nobody._ipp._tcp.local"
	for _, tc := range []struct {
		name string
		r    *dissecttest.Result
		want []string // the facts, without those of kind name
	}{
		{"questions", mdns(0, 4, 0, 0, 0, ask("_ipp._tcp.local", 12), ask("Nobody._airplay._tcp.local", 16), ask("_universal._sub._ipp._tcp.local", 12), ask("_services._dns-sd._udp.local", 12)), []string{`mdns query side=0 | "service_types":["_ipp._tcp","_airplay._tcp","_services._dns-sd._udp"]`}},
		{"no questions of services", mdns(0, 3, 0, 0, 0, ask("b._dns-sd._udp.local", 12), ask("nobody.local", 1), ask("_Mr Nobody._tcp.local", 12)), []string{`"role":"client"}`}},
		{
			"a printer", mdns(answer, 0, 1, 0, 3, ptrTo("_ipp._tcp.local", printer), srv(printer, 631, "PRN1.local"),
				txt(printer, "txtvers=1", "note=Mr Nobody's room", "ty=HP LaserJet M507", "product=(HP LaserJet M507)", "usb_MFG=HP", "usb_MDL=LaserJet M507", "UUID=EAB30E98-b889-3450-68ca-0c5e594bdc6c", "adminurl=http://nobody.local/", "rp=ipp/print", "novalue", "=x"), address4("prn1.local", "10.1.2.3")),
			[]string{`mdns response side=0 | "service_types":["_ipp._tcp"]`, `mdns service side=0 | {"device_uid":"eab30e98-b889-3450-68ca-0c5e594bdc6c","hostname":"prn1.local","manufacturer":"HP","model":"LaserJet M507","port":"631","product":"HP LaserJet M507","service_type":"_ipp._tcp"}`},
		},
		{"enumeration", mdns(answer, 0, 2, 0, 0, ptrTo("_services._dns-sd._udp.local", "_http._tcp.local"), ptrTo("_services._dns-sd._udp.local", "_axis-video._tcp.local")), []string{`"service_types":["_http._tcp","_axis-video._tcp"]`}},
		{"MAC before the name", mdns(answer, 0, 1, 0, 0, srv("A1B2C3D4E5F6@Nobodys Room._raop._tcp.local", 7000, "apple-tv.local")), []string{"response", `"hostname":"apple-tv.local"`}},
		{"MAC after the name", mdns(answer, 0, 1, 0, 0, srv("nobody [08:11:96:86:9b:14]._workstation._tcp.local", 9, "ws.local")), []string{"response", `"mac":"08:11:96:86:9b:14"`}},
		{"HomeKit", mdns(answer, 0, 1, 0, 0, txt("Nobody._hap._tcp.local", "md=LCA1", "ci=17", "id=0A:1B:2C:3D:4E:5F", "fw=1.2.3", "sn=S 1")), []string{"response", `{"device_uid":"0a:1b:2c:3d:4e:5f","firmware_version":"1.2.3","hap_category":"17","model":"LCA1","service_type":"_hap._tcp"}`}},
		{"AirPlay", mdns(answer, 0, 1, 0, 0, txt("Nobody._airplay._tcp.local", "deviceid=08:11:96:86:9B:14", "model=AppleTV6,2", "osvers=17.4", "srcvers=770.8.1", "manufacturer=Apple Inc.", "serialNumber=C07X12345")), []string{"response", `{"airplay_version":"770.8.1","mac":"08:11:96:86:9b:14","manufacturer":"Apple Inc.","model":"AppleTV6,2","os_version":"17.4","serial":"C07X12345","service_type":"_airplay._tcp"}`}},
		{"version of the protocol", mdns(answer, 0, 1, 0, 0, txt("x._spotify-connect._tcp.local", "VERSION=1.0")), []string{"response", `{"service_type":"_spotify-connect._tcp"}`}},
		{"host information", mdns(answer, 0, 1, 0, 0, ttl("ws.local", 13, 120, []byte("\x06X86_64\x05LINUX"))), []string{"response", `mdns host side=0 mac= ip=invalid IP equipment="" gateway=0 {"cpu":"X86_64","hostname":"ws.local","os":"LINUX"}`}},
		{"goodbye", mdns(answer, 0, 3, 0, 0, ttl("_ipp._tcp.local", 12, 0, name(printer)), ttl(printer, 33, 0, append(be16(0, 0, 631), name("prn1.local")...)), ttl("prn1.local", 1, 0, []byte{10, 1, 2, 3})), []string{`"rcode":"NOERROR","role":"server"}`, `mdns goodbye side=0 mac= ip=invalid IP equipment="" gateway=0 {"service_types":["_ipp._tcp"]}`}},
		{"probe", mdns(0, 1, 1, 2, 0, ask("ws [08:11:96:86:9b:14]._workstation._tcp.local", 255), ptrTo("_ipp._tcp.local", printer), srv("ws [08:11:96:86:9b:14]._workstation._tcp.local", 9, "ws.local"), ttl("ws.local", 13, 120, []byte("\x03ARM\x05LINUX"))), []string{`"role":"client"}`, `"mac":"08:11:96:86:9b:14","port":"9"`, `"cpu":"ARM"`}},
		{"known answers are of others", mdns(0, 1, 2, 0, 0, ask("_ipp._tcp.local", 12), ptrTo("_ipp._tcp.local", printer), srv(printer, 631, "prn1.local")), []string{`"service_types":["_ipp._tcp"]`}},
		{"for another", mdns(answer, 0, 2, 0, 1, ptrTo("_ipp._tcp.local", printer), srv(printer, 631, "prn1.local"), address4("prn1.local", "10.9.8.7")), []string{`"role":"server"}`, `mdns service side=2 mac= ip=10.9.8.7`}},
		{"for itself and another", mdns(answer, 0, 2, 0, 2, srv("x._ssh._tcp.local", 22, "own.local"), srv(printer, 631, "prn1.local"), address4("prn1.local", "10.9.8.7"), address4("own.local", "10.1.2.3")), []string{"response", `mdns service side=0 mac= ip=invalid IP equipment="" gateway=0 {"hostname":"own.local"`, `mdns service side=2 mac= ip=10.9.8.7`}},
		{"short SRV", mdns(answer, 0, 1, 0, 0, ttl(printer, 33, 120, be16(0, 0))), []string{"response", `{"service_type":"_ipp._tcp"}`}},
		{"string beyond the record", mdns(answer, 0, 1, 0, 0, ttl(printer, 16, 120, []byte("\x06fw=1\xff"))), []string{"response", `{"service_type":"_ipp._tcp"}`}},
		{"record beyond the message", mdns(answer, 0, 2, 0, 0, srv(printer, 631, "prn1.local")), []string{"response", `"port":"631"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := slices.DeleteFunc(strings.Split(tc.r.Text(), "\n"), func(s string) bool { return s == "" || strings.HasPrefix(s, "mdns name") })
			if tc.name == "goodbye" && strings.Contains(tc.r.Text(), "mdns name") {
				t.Errorf("a host that says goodbye is named:\n%s", tc.r.Text())
			}
			if len(got) != len(tc.want) || len(tc.r.Panics) > 0 {
				t.Fatalf("%v facts:\n%s", tc.r.Panics, tc.r.Text())
			}
			for i := range got {
				for _, piece := range strings.Split(tc.want[i], " | ") {
					if !strings.Contains(got[i], piece) {
						t.Errorf("%s, want %s", got[i], piece)
					}
				}
			}
			if s := strings.ToLower(string(tc.r.Everything())); strings.Contains(s, "nobody") {
				t.Errorf("a person's name leaves:\n%s", s)
			}
		})
	}
}

func TestServiceCounters(t *testing.T) {
	var many [][]byte
	for i := range 100 {
		many = append(many, txt(fmt.Sprintf("x%d._t%d._tcp.local", i, i)), ptrTo(fmt.Sprintf("_t%d._tcp.local", i), "x"))
	}
	r := mdns(answer, 0, 200, 0, 0, many...)
	if n := len(r.Of("mdns", "service")); n != 32 || len(r.Of("mdns", "response")[0].Attributes.List("service_types")) != 64 {
		t.Errorf("%d services, types %v", n, r.Of("mdns", "response")[0].Attributes.List("service_types"))
	}
	want := map[string]uint64{"mdns_services_skipped": 68, "mdns_types_skipped": 36}
	for name, n := range want {
		if r.Counters[name] != n {
			t.Errorf("%s: %d, want %d", name, r.Counters[name], n)
		}
	}
	long := strings.Repeat("\x03a=b", 200)
	for name, r := range map[string]*dissecttest.Result{
		"mdns_strings_skipped":  mdns(answer, 0, 1, 0, 0, ttl("x._t._tcp.local", 16, 120, []byte(long))),
		"mdns_text_malformed":   mdns(answer, 0, 1, 0, 0, ttl("x._t._tcp.local", 16, 120, []byte("\xff"))),
		"mdns_record_malformed": mdns(answer, 0, 2, 0, 0, txt("x._t._tcp.local")),
		"mdns_value_withheld":   mdns(answer, 0, 1, 0, 0, txt("x._t._tcp.local", "model=Anna's iPhone")),
	} {
		if r.Counters[name] != 1 {
			t.Errorf("%s: %v", name, r.Counters)
		}
	}
}

// Names of instances, and what owners type into attributes, never leave.
func TestServiceCanaries(t *testing.T) {
	secrets := []string{"Annabell Canary", "Canarion", "Room of Canarius", "canaria@example", "Dr.Canarelli"}
	var parts [][]byte
	for _, s := range secrets {
		full := s + "._ipp._tcp.local"
		parts = append(parts, ptrTo("_ipp._tcp.local", full), srv(full, 631, "prn1.local"), txt(full, "note="+s, "fn="+s, "n="+s, "name="+s, "location="+s, "ty="+s+"'s printer",
			"model="+s+"\u2019s iPhone", "sn="+s, "serial="+s, "fw="+s, "id="+s, "uuid="+s, "mac="+s, "rp=/"+s, "u="+s, "ci="+s, "version="+s+" of "+s))
	}
	found := canary.New(secrets)
	everything := message(answer, 1, len(parts)*3, 0, 0, ask(secrets[0]+"._ipp._tcp.local", 255), slices.Concat(parts...))
	dissecttest.Planted(t, "mdns", secrets, []packet.Headers{dissecttest.Datagram(0, toMDNS, everything), dissecttest.Datagram(0, toMDNS, everything[:len(everything)*2/3])})
	for _, flags := range []int{0, answer} {
		for lose := range 60 {
			b := message(flags, 1, len(parts)*3, 0, 0, ask(secrets[0]+"._ipp._tcp.local", 255), slices.Concat(parts...))
			b = b[:len(b)-lose*len(b)/61]
			r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, toMDNS, b)})
			if got := found.Search(r.Everything()); len(got) > 0 {
				t.Fatalf("%v leaves:\n%s", got, r.Everything())
			}
		}
	}
}

// What ipfixprobe writes of its own capture (tests/functional/outputs/dnssd): of
// each sender the service types asked for, and service, port and target.
func TestServiceCapture(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/ipfixprobe/tests/functional/inputs/dnssd.pcap")))
	got := map[string]bool{}
	for _, f := range r.Facts {
		a := f.Attributes
		for _, s := range a.List("service_types") {
			got[f.Kind+" "+f.Speaker().String()+" "+s] = true
		}
		if s := a.Get("service_type"); s != "" {
			got[strings.TrimSpace(f.Kind+" "+f.Speaker().String()+" "+s+" "+a.Get("port")+" "+a.Get("hostname"))] = true
		}
		if f.Kind == "host" {
			got["host "+f.Speaker().String()+" "+a.Get("cpu")+":"+a.Get("os")] = true
		}
	}
	const jaja, phone = "fe80::a11:96ff:fe86:9b14", "fe80::c8a:f878:fa55:8c74"
	for _, want := range []string{
		"query 147.229.182.71 _homekit._tcp", "query 147.229.182.71 _companion-link._tcp", "query 147.229.182.71 _sleep-proxy._udp",
		"query 147.229.182.88 _homekit._tcp", "query 147.229.182.88 _companion-link._tcp", "query 147.229.182.88 _sleep-proxy._udp",
		"service 147.229.182.88 _apple-mobdev2._tcp 32498 martins-iphone.local",
		"query 147.229.183.194 _googlecast._tcp",
		"service 147.229.183.219 _device-info._tcp", "service 147.229.183.219 _companion-link._tcp 49817 peters-macbook-pro-2.local",
		"service 147.229.183.95 _companion-link._tcp",
		"host " + jaja + " X86_64:LINUX", "service " + jaja + " _workstation._tcp 9 jaja.local", "service " + jaja + " _udisks-ssh._tcp 22 jaja.local",
		"query " + phone + " _companion-link._tcp", "service " + phone + " _apple-mobdev2._tcp 32498 martins-iphone.local",
	} {
		if !got[want] {
			t.Errorf("%s is missing", want)
		}
	}
	if t.Failed() {
		t.Log(r.Text())
	}
}

func FuzzServices(f *testing.F) {
	f.Add(message(answer, 0, 2, 0, 0, srv("x [08:11:96:86:9b:14]._ipp._tcp.local", 631, "prn1.local"), txt("x._ipp._tcp.local", "ty=HP", "id=0A:1B:2C:3D:4E:5F")))
	f.Add(message(0, 1, 0, 1, 0, ask("_ipp._tcp.local", 12), ttl("ws.local", 13, 120, []byte("\x03ARM\x05LINUX"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, toMDNS, b)})
		if len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
		if n := len(r.Facts); n > 128 {
			t.Fatalf("%d facts of one message", n)
		}
	})
}
