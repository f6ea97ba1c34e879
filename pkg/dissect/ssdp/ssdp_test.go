package ssdp_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/ssdp"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

func lines(s ...string) string { return strings.Join(s, "\r\n") + "\r\n\r\n" }

var (
	multicast = [2]uint16{50000, 1900}
	elsewhere = [2]uint16{50000, 50001}
)

func run(t *testing.T, ports [2]uint16, b string, cut int) *dissecttest.Result {
	t.Helper()
	h := dissecttest.Datagram(0, ports, []byte(b))
	h.PayloadLen += cut
	r := dissecttest.Play(dissect.Config{}, []packet.Headers{h})
	if len(r.Panics) > 0 {
		t.Fatal(r.Panics)
	}
	return r
}

func TestDatagrams(t *testing.T) {
	const uid = "2fac1234-31f8-11b4-a222-08002b34c003"
	for _, tc := range []struct {
		name    string
		ports   [2]uint16
		b       string
		label   string
		want    string // attributes with the kind before them; "" for no fact
		counted string
	}{
		{
			"alive", multicast,
			lines("NOTIFY * HTTP/1.1", "HOST: 239.255.255.250:1900", "CACHE-CONTROL: max-age = 1800", "LOCATION: http://10.1.2.3:49152/desc.xml?who=nobody", "NT: urn:schemas-upnp-org:device:MediaRenderer:1", "NTS: ssdp:alive", "SERVER: Linux/4.9.118, UPnP/1.0, Example Player/2.1.7", "USN: uuid:"+uid+"::urn:schemas-upnp-org:device:MediaRenderer:1"),
			"ssdp content", `alive {"device_type":"MediaRenderer","device_uid":"` + uid + `","location":"http://10.1.2.3:49152","max_age_s":"1800","os":"Linux","os_version":"4.9.118","product":"Example Player","product_version":"2.1.7","role":"server","server":"Linux/4.9.118, UPnP/1.0, Example Player/2.1.7","target":"urn:schemas-upnp-org:device:MediaRenderer:1"}`, "",
		},
		{"byebye", multicast, lines("NOTIFY * HTTP/1.1", "Nt:upnp:rootdevice", "nts:ssdp:byebye", "LOCATION: http://x/", "USN:uuid:"+uid+"::upnp:rootdevice"), "ssdp content", `byebye {"device_uid":"` + uid + `","role":"server","target":"upnp:rootdevice"}`, ""},
		{"the id alone", multicast, lines("NOTIFY * HTTP/1.1", "NT: uuid:"+uid, "NTS: ssdp:update"), "ssdp content", `update {"device_uid":"` + uid + `","role":"server","target":"uuid"}`, ""},
		{"search", multicast, lines("M-SEARCH * HTTP/1.1", "HOST: 239.255.255.250:1900", `MAN: "ssdp:discover"`, "MX: 1", "ST: urn:dial-multiscreen-org:service:dial:1", "USER-AGENT: Google Chrome/83.0.4103.61 Linux"), "ssdp content", `search {"role":"client","service_type":"dial","target":"urn:dial-multiscreen-org:service:dial:1","user_agent":"Google Chrome/83.0.4103.61 Linux"}`, ""},
		{"search for one device", multicast, lines("M-SEARCH * HTTP/1.1", "ST: uuid:"+uid), "ssdp content", `search {"role":"client","target":"uuid"}`, ""},
		{"response elsewhere", elsewhere, lines("HTTP/1.1 200 OK", "EXT:", "ST: upnp:rootdevice", "USN: uuid:"+uid+"::upnp:rootdevice", "Server: Microsoft-Windows/10.0 UPnP/1.0 UPnP-Device-Host/1.0", "Location: https://[fe80::1]/x"), "ssdp content", `response {"device_uid":"` + uid + `","location":"https://[fe80::1]:443","os":"Microsoft-Windows","os_version":"10.0","product":"UPnP-Device-Host","product_version":"1.0","role":"server","server":"Microsoft-Windows/10.0 UPnP/1.0 UPnP-Device-Host/1.0","target":"upnp:rootdevice"}`, ""},
		{
			"makers' headers", multicast,
			lines("NOTIFY * HTTP/1.1", "NTS: ssdp:alive", "hue-bridgeid: 001788FFFE2476FF", `X-AV-Physical-Unit-Info: pa="KDL"; mn="BRAVIA XR"; cn="Sony Corporation"`, `X-AV-Server-Info: av=5.0; hn=""; cn="Other"; mn="other"; mv="1.0"`, "WAKEUP: MAC=08:11:96:86:9B:14;Timeout=60", "SERVER: Unspecified, UPnP/1.0, Unspecified"),
			"ssdp content", `alive {"bridge_id":"001788fffe2476ff","mac":"08:11:96:86:9b:14","manufacturer":"Sony Corporation","model":"BRAVIA XR","role":"server","server":"Unspecified, UPnP/1.0, Unspecified"}`, "",
		},
		{"LF alone", multicast, "NOTIFY * HTTP/1.1\nNTS: ssdp:alive\nNT: upnp:rootdevice\n\n", "ssdp content", `alive {"role":"server","target":"upnp:rootdevice"}`, ""},
		{"no end", multicast, "NOTIFY * HTTP/1.1\r\nNTS: ssdp:alive", "ssdp content", `alive {"role":"server"}`, ""},
		{"without UPnP", multicast, lines("NOTIFY * HTTP/1.1", "NTS: ssdp:alive", "SERVER: Example"), "ssdp content", `alive {"role":"server","server":"Example"}`, ""},
		{"another's answer", elsewhere, lines("HTTP/1.1 200 OK", "Content-Length: 0"), " ", "", ""},
		{"no subtype", multicast, lines("NOTIFY * HTTP/1.1", "NT: upnp:rootdevice"), "ssdp content", "", "ssdp_no_subtype"},
		{"line without colon", multicast, lines("M-SEARCH * HTTP/1.1", "rubbish", "ST: ssdp:all"), "ssdp content", `search {"role":"client","target":"ssdp:all"}`, "ssdp_line_malformed"},
		{"long line", multicast, lines("M-SEARCH * HTTP/1.1", "ST: "+strings.Repeat("x", 600)), "ssdp content", `search {"role":"client"}`, "ssdp_line_malformed"},
		{"many headers", multicast, lines("M-SEARCH * HTTP/1.1", strings.Repeat("A: b\r\n", 64)+"ST: ssdp:all"), "ssdp content", `search {"role":"client"}`, "ssdp_headers_skipped"},
		{"text for a target", multicast, lines("M-SEARCH * HTTP/1.1", "ST: the room of Mr Nobody"), "ssdp content", `search {"role":"client"}`, "ssdp_target_withheld"},
		{"name for an id", multicast, lines("NOTIFY * HTTP/1.1", "NTS: ssdp:alive", "USN: uuid:nobodys-telephone"), "ssdp content", `alive {"role":"server"}`, "ssdp_id_withheld"},
		{"bad location", multicast, lines("NOTIFY * HTTP/1.1", "NTS: ssdp:alive", "LOCATION: http://10.1.2.3:99999/"), "ssdp content", `alive {"role":"server"}`, "ssdp_location_malformed"},
		{"location with a user", multicast, lines("NOTIFY * HTTP/1.1", "NTS: ssdp:alive", "LOCATION: http://nobody:secret@10.1.2.3:80/"), "ssdp content", `alive {"location":"http://10.1.2.3:80","role":"server"}`, ""},
		{"other protocol", multicast, "OPTIONS nm FOO/2.0\r\n\r\n", "ssdp port", "", ""},
		{"start line only", multicast, "NOTIFY * HTTP/1.1", "ssdp content", "", "ssdp_no_subtype"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := run(t, tc.ports, tc.b, 0)
			if f := r.Flows[0]; f.Protocol+" "+f.By != tc.label {
				t.Errorf("label %s by %s, want %s", f.Protocol, f.By, tc.label)
			}
			want := ""
			if kind, attributes, ok := strings.Cut(tc.want, " "); ok {
				want = fmt.Sprintf("ssdp %s side=0 mac= ip=invalid IP equipment=\"\" gateway=0 %s\n", kind, attributes)
			}
			if got := r.Text(); got != want {
				t.Errorf("got %swant %s", got, want)
			}
			if tc.counted != "" && r.Counters[tc.counted] != 1 || tc.counted == "" && len(r.Counters) > 0 {
				t.Errorf("counted %v, want one %s", r.Counters, tc.counted)
			}
			if strings.Contains(string(r.Everything()), "obody") {
				t.Errorf("a person's name leaves:\n%s", r.Everything())
			}
		})
	}
	if r := run(t, multicast, "NOTIFY * HTTP/1.1\r\nNTS: ssdp:ali", 40); r.Counters["ssdp_cut"] != 1 {
		t.Errorf("a cut datagram counts %v", r.Counters)
	}
}

// What owners type, and the paths of locations, never leave, wherever a message is
// cut.
func TestCanaries(t *testing.T) {
	secrets := []string{"Canarella", "canary-path", "CanaryUser", "Canarina", "canaryhome"}
	s := canary.New(secrets)
	msg := lines("NOTIFY * HTTP/1.1", "NTS: ssdp:alive", "X-Friendly-Name: "+secrets[0], "FriendlyName.UPNP.ORG: "+secrets[0], "LOCATION: http://"+secrets[2]+"@10.1.2.3:80/"+secrets[1]+"?"+secrets[3],
		"NT: room of "+secrets[0], "USN: uuid:"+secrets[3], "hue-bridgeid: "+secrets[4], "WAKEUP: MAC="+secrets[0], "X-RINCON-HOUSEHOLD: "+secrets[4], "CACHE-CONTROL: private="+secrets[0])
	dissecttest.Planted(t, "ssdp", secrets, []packet.Headers{dissecttest.Datagram(0, [2]uint16{1900, 1900}, []byte(msg)), dissecttest.Datagram(0, [2]uint16{1900, 1900}, []byte(msg)[:len(msg)-40])})
	for cut := range len(msg) {
		if got := s.Search(run(t, multicast, msg[:cut], 0).Everything()); len(got) > 0 {
			t.Fatalf("cut at %d: %v leaves", cut, got)
		}
	}
}

// ipfixprobe's own test (tests/functional/outputs/ssdp) writes, by sender, what was
// searched for, what was announced, the SERVER and the USER-AGENT.
func TestCapture(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/ipfixprobe/tests/functional/inputs/ssdp.pcap")))
	type said struct{ search, server, agent, location string }
	got := map[netip.Addr]said{}
	for _, f := range r.Facts {
		if f.Protocol != "ssdp" {
			continue
		}
		x, a := got[f.Speaker()], f.Attributes
		if f.Kind == "search" && strings.HasPrefix(a.Get("target"), "urn:") {
			x.search = a.Get("target")
		}
		if v := a.Get("server"); v != "" {
			x.server, x.location = v, a.Get("location")
		}
		if v := a.Get("user_agent"); v != "" {
			x.agent = v
		}
		got[f.Speaker()] = x
	}
	const dial = "urn:dial-multiscreen-org:service:dial:1"
	for ip, want := range map[string]said{
		"147.229.180.136": {search: dial},
		"147.229.180.170": {search: dial},
		"147.229.181.116": {search: "urn:schemas-upnp-org:device:InternetGatewayDevice:1", server: "Microsoft-Windows-NT/5.1 UPnP/1.0 UPnP-Device-Host/1.0"},
		"147.229.181.15":  {search: "urn:schemas-canon-com:service:ICPO-WFTEOSSystemService:1"},
		"147.229.181.211": {search: dial, agent: "Brave Browser/81.1.9.76 Mac OS X"},
		"147.229.181.230": {search: dial, agent: "Google Chrome/83.0.4103.61 Linux"},
		"147.229.181.82":  {search: dial, agent: "Google Chrome/83.0.4103.106 Windows"},
		"147.229.182.154": {search: dial, agent: "Google Chrome/83.0.4103.106 Windows"},
		"147.229.182.16":  {search: dial, agent: "Google Chrome/83.0.4103.106 Mac OS X"},
		"147.229.183.223": {search: dial, agent: "Google Chrome/83.0.4103.106 Windows"},
		"147.229.183.89":  {search: dial, agent: "Microsoft Edge/83.0.478.54 Windows"},
	} {
		g := got[netip.MustParseAddr(ip)]
		g.location = ""
		if g != want {
			t.Errorf("%s: %+v, want %+v", ip, g, want)
		}
	}
	for _, f := range r.Flows {
		if slices.Contains([]uint16{f.SrcPort, f.DstPort}, 1900) && f.Protocol+f.By != "ssdpcontent" {
			t.Errorf("%s to %s is %s by %s", f.SrcIP, f.DstIP, f.Protocol, f.By)
		}
	}
	if t.Failed() {
		t.Log(r.Text())
	}
}

// Other protocols' datagrams are refused without allocating.
func TestRefusalsAreFree(t *testing.T) {
	h := dissecttest.Datagram(0, elsewhere, nil)
	c := &dissector.Context{Headers: &h}
	for _, b := range [][]byte{[]byte("OPTIONS sip:nm SIP/2.0\r\n\r\n"), []byte(lines("HTTP/1.1 200 OK", "Content-Length: 0", "Server: x"))} {
		if n := testing.AllocsPerRun(100, func() {
			if ssdp.Protocol.Datagram(c, b, false) != dissector.No {
				t.Fatal("it is not refused")
			}
		}); n != 0 {
			t.Errorf("%q costs %v allocations", b[:12], n)
		}
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add([]byte(lines("NOTIFY * HTTP/1.1", "NTS: ssdp:alive", "LOCATION: http://10.1.2.3:49152/desc.xml", "SERVER: Linux/4.9, UPnP/1.0, X/2", "USN: uuid:1::upnp:rootdevice", "X-AV-Server-Info: av=5.0; cn=\"Other\"")))
	f.Add([]byte(lines("HTTP/1.1 200 OK", "ST: ssdp:all")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(run(t, multicast, string(b), 0).Facts); n > 1 {
			t.Fatalf("%d facts of one datagram", n)
		}
	})
}
