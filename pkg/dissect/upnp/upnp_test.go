package upnp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/upnp"
	"github.com/wardflow/wardflow/pkg/repotest"
)

const document = `<?xml version="1.0" encoding="ISO-8859-1"?>
<root xmlns="urn:schemas-upnp-org:device-1-0" configId="1">
  <specVersion><major>1</major><minor>0</minor></specVersion>
  <device>
    <deviceType>urn:schemas-upnp-org:device:MediaRenderer:1</deviceType>
    <friendlyName>room of nobody</friendlyName>
    <manufacturer>Example Corp</manufacturer><manufacturerURL>http://nobody.example/</manufacturerURL>
    <modelDescription>player of nobody</modelDescription>
    <modelName>Player &amp; Co</modelName><modelNumber>X-7 rev 2</modelNumber><serialNumber>SN-0042</serialNumber>
    <UDN>uuid:2FAC1234-31f8-11b4-a222-08002b34c003</UDN>
    <deviceList><device><deviceType>urn:schemas-upnp-org:device:Basic:1</deviceType><modelName>nobody</modelName></device></deviceList>
    <presentationURL>http://10.1.2.3/nobody</presentationURL>
  </device>
</root>`

const want = `{"device_types":["MediaRenderer","Basic"],"device_uid":"2fac1234-31f8-11b4-a222-08002b34c003","manufacturer":"Example Corp","model":"Player \u0026 Co","model_number":"X-7 rev 2","serial":"SN-0042"}`

func read(t *testing.T, b string) string {
	t.Helper()
	a, err := upnp.Description([]byte(b)).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(a)
}

func TestDescription(t *testing.T) {
	for _, tc := range []struct{ name, b, want string }{
		{"whole", document, want},
		{"another document", strings.Replace(document, "device-1-0", "service-1-0", 1), "{}"},
		{"what an owner typed in the wrong place", strings.Replace(document, "Player &amp; Co", "Nobody's player", 1), strings.Replace(want, `"model":"Player \u0026 Co",`, "", 1)},
		{"a serial number that is a name", strings.Replace(document, "SN-0042", "Nobody", 1), strings.Replace(want, `,"serial":"SN-0042"`, "", 1)},
		{"deep", `<root xmlns="urn:schemas-upnp-org:device-1-0">` + strings.Repeat("<a>", 100), "{}"},
		{"no elements", "urn:schemas-upnp-org:device-1-0", "{}"},
		{"nothing", "", "{}"},
	} {
		if got := read(t, tc.b); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// get is a conversation that fetches a body.
func get(kind, body string) dissecttest.Conversation {
	return dissecttest.Conversation{
		{Side: 0, Data: []byte("GET /desc.xml HTTP/1.1\r\nHost: a\r\n\r\n")},
		{Side: 1, Data: []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(body), body))},
	}
}

// Over HTTP, wherever the connection is cut.
func TestHTTP(t *testing.T) {
	c := get(`text/xml; charset="utf-8"`, document)
	sizes := c.Sizes()
	line := `upnp description side=1 mac= ip=invalid IP equipment="" gateway=0 ` + want + "\n"
	for cut := 0; cut < sizes[0]+sizes[1]; cut += 3 {
		r := dissecttest.Play(dissect.Config{}, c.Cut(cut).Segments(true))
		if !strings.Contains(r.Text(), line) || len(r.Panics) > 0 || strings.Join(r.Flows[0].Inner, " ") != "upnp" {
			t.Fatalf("cut at %d: %v %v\n%s", cut, r.Panics, r.Flows[0].Inner, r.Text())
		}
		if strings.Contains(string(r.Everything()), "obody") {
			t.Fatalf("somebody's name leaves:\n%s", r.Everything())
		}
	}
	for _, c := range []dissecttest.Conversation{get("text/html", document), get("text/xml", strings.Repeat(" ", 2000)+document)} {
		if r := dissecttest.Play(dissect.Config{}, c.Segments(true)); len(r.Of("upnp", "description")) > 0 {
			t.Errorf("%s", r.Text())
		}
	}
}

func TestCanaries(t *testing.T) {
	secrets := []string{"Canarella", "canary@home"}
	s := canary.New(secrets)
	b := strings.NewReplacer("nobody", "Canarella", "Example Corp", "Canarella's shop", "X-7 rev 2", "canary@home").Replace(document)
	dissecttest.Planted(t, "upnp", secrets, get("text/xml", b).Segments(true))
	for cut := range len(b) {
		a, err := upnp.Description([]byte(b[:cut])).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if hits := s.Search(a); len(hits) > 0 {
			t.Fatalf("cut at %d: %v", cut, hits)
		}
	}
}

func FuzzDescription(f *testing.F) {
	f.Add(document)
	f.Fuzz(func(t *testing.T, b string) {
		if n := len(upnp.Description([]byte(b))); n > 6 {
			t.Fatalf("%d attributes", n)
		}
	})
}

// What FoxIO's and nDPI's captures carry, as Wireshark shows it.
func TestCaptures(t *testing.T) {
	for path, wants := range map[string][]string{
		"ja4/pcap/http1.pcapng":         {`"device_types":["InternetGatewayDevice","WANDevice","WANConnectionDevice"]`, `"manufacturer":"Ubiquiti Networks","model":"UDM-SE","model_number":"00039513"`},
		"nDPI/pcap/anyconnect-vpn.pcap": {`"device_types":["dial"]`, `"manufacturer":"Google Inc.","model":"Eureka Dongle"`, `"manufacturer":"Roku","model":"Roku Express","model_number":"3900X","serial":"YG004J486863"`},
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+path)))
		for _, want := range wants {
			if !strings.Contains(r.Text(), want) {
				t.Errorf("%s: no %s", path, want)
			}
		}
	}
}
