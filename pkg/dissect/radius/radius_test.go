package radius_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

var ports = [2]uint16{40000, 1812}

func message(code byte, attributes ...[]byte) []byte {
	b := append([]byte{code, 7, 0, 0}, make([]byte, 16)...)
	for _, a := range attributes {
		b = append(b, a...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

func at(kind byte, value string) []byte { return append([]byte{kind, byte(2 + len(value))}, value...) }

func num(kind byte, n uint32) []byte {
	return at(kind, string(binary.BigEndian.AppendUint32(nil, n)))
}

func play(list ...[]byte) *dissecttest.Result {
	var h []packet.Headers
	for i, b := range list {
		h = append(h, dissecttest.Datagram(i%2, ports, b))
	}
	return dissecttest.Play(dissect.Config{}, h)
}

var request = message(1, at(1, "canaryuser"), at(2, "encryptedcanary!"), at(4, "\x0a\x01\x02\x03"), at(32, "ap-ward3"), at(30, "00-11-22-33-44-55:Ward WLAN"), at(31, "aa:bb:cc:dd:ee:0f"),
	num(61, 19), num(5, 13), at(79, "\x02\x01\x00\x06\x19\x00"))

func TestFacts(t *testing.T) {
	for _, tc := range []struct {
		name string
		list [][]byte
		want string
	}{
		{"a station at an access point", [][]byte{request, message(3)}, `radius access_request side=0 mac= ip=invalid IP equipment="" gateway=0 {"auth":"eap","eap_method":"peap","nas_identifier":"ap-ward3","nas_ip":"10.1.2.3","role":"client"}
radius station side=2 mac=aa:bb:cc:dd:ee:0f ip=invalid IP equipment="" gateway=0 {"access_point":"00:11:22:33:44:55","account":"other","eap_method":"peap","mac":"aa:bb:cc:dd:ee:0f","nas_identifier":"ap-ward3","nas_ip":"10.1.2.3","port_type":"wireless_802_11","ssid":"Ward WLAN","switch_port":"13"}
radius access_reject side=1 mac= ip=invalid IP equipment="" gateway=0 {"role":"server"}
radius login side=2 mac=aa:bb:cc:dd:ee:0f ip=invalid IP equipment="" gateway=0 {"mac":"aa:bb:cc:dd:ee:0f","outcome":"failure"}
`},
		{"a workstation that a switch has looked at, and is let in", [][]byte{
			message(1, at(31, "aa-bb-cc-dd-ee-0f"), at(26, "\x00\x00\x00\x09\x01\x17dhcp-option=\x00\x0c\x00\x05pump7"), at(26, "\x00\x00\x00\x09\x01\x1adhcp-option=\x00\x3c\x00\x08MSFT 5.0"), at(26, "\x00\x00\x00\x09\x01\x0ccanaryuser")),
			message(2, at(81, "41")),
		}, `radius access_request side=0 mac= ip=invalid IP equipment="" gateway=0 {"role":"client"}
radius station side=2 mac=aa:bb:cc:dd:ee:0f ip=invalid IP equipment="" gateway=0 {"hostname":"pump7","mac":"aa:bb:cc:dd:ee:0f","vendor_class":"MSFT 5.0"}
radius access_accept side=1 mac= ip=invalid IP equipment="" gateway=0 {"role":"server"}
radius login side=2 mac=aa:bb:cc:dd:ee:0f ip=invalid IP equipment="" gateway=0 {"mac":"aa:bb:cc:dd:ee:0f","outcome":"success","vlan":"41"}
`},
		{"a pump that is let in by its MAC", [][]byte{message(1, at(1, "aabbccddee0f"), at(2, "0123456789abcdef"), at(87, "GigabitEthernet1/0/13"), num(61, 15))}, `radius access_request side=0 mac= ip=invalid IP equipment="" gateway=0 {"auth":"pap","legacy":"true","role":"client"}
radius station side=2 mac=aa:bb:cc:dd:ee:0f ip=invalid IP equipment="" gateway=0 {"account":"device","mac":"aa:bb:cc:dd:ee:0f","port_type":"ethernet","switch_port":"GigabitEthernet1/0/13"}
`},
		{"the end of a session", [][]byte{message(4, num(40, 2), at(31, "AABB.CCDD.EE0F"), at(8, "\x0a\x01\x02\x09"), num(42, 5), num(43, 6), num(46, 70), at(81, "\x0141"))}, `radius accounting_request side=0 mac= ip=invalid IP equipment="" gateway=0 {"role":"client"}
radius station side=2 mac=aa:bb:cc:dd:ee:0f ip=10.1.2.9 equipment="" gateway=0 {"ip":"10.1.2.9","mac":"aa:bb:cc:dd:ee:0f","received_bytes":"5","sent_bytes":"6","session_s":"70","status":"stop","vlan":"41"}
`},
		{"MS-CHAP", [][]byte{message(1, at(26, "\x00\x00\x01\x37\x01\x34"+strings.Repeat("x", 50)))}, `radius access_request side=0 mac= ip=invalid IP equipment="" gateway=0 {"auth":"mschap","legacy":"true","role":"client"}
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := play(tc.list...).Text(); got != tc.want {
				t.Errorf("\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// A telephone's number is no station.
func TestNumber(t *testing.T) {
	r := play(message(1, at(1, "491511234567"), at(31, "491511234567"), at(32, "nas")))
	if len(r.Of("radius", "station")) != 0 || strings.Contains(r.Text(), "4915") {
		t.Error(r.Text())
	}
}

// What was said once is not said again, and a flow keeps a bounded amount.
func TestRepetition(t *testing.T) {
	list := slices.Repeat([][]byte{request, message(2)}, 50)
	if n := len(play(list...).Facts); n != 4 {
		t.Errorf("%d facts", n)
	}
}

// Numbers of telephones and of people are no MAC addresses.
func TestNumbers(t *testing.T) {
	for v, want := range map[string]bool{
		"491701234567": false, "1234-5678-9012": false, "1234.5678.9012": false, "00:11:22:33:44:55": true, "00-11-22-33-44-55": true, "0011.2233.445a": true, "00112233445a": true, "001-122-334-4556a": false, "00:11:22:33:44:5g": false,
		"ff:ff:ff:ff:ff:ff": false, "00:00:00:00:00:00": false, "00:11:22:33:44:5": false,
	} {
		for _, kind := range []byte{1, 31} {
			r := play(message(1, at(kind, v)))
			if got := len(r.Of("radius", "station")) == 1; got != want {
				t.Errorf("attribute %d %q: %v", kind, v, got)
			}
		}
	}
}

// On other ports it takes more to be RADIUS.
func TestElsewhere(t *testing.T) {
	for _, tc := range []struct {
		b    []byte
		want bool
	}{
		{message(1), false}, {message(4, at(1, "canaryuser")), false}, {message(1, at(4, "\x0a\x01\x02\x03")), true}, {message(2, at(80, "0123456789abcdef")), true}, {append(message(1, at(4, "\x0a\x01\x02\x03")), 0), false},
	} {
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 9999}, tc.b)})
		if got := r.Flows[0].Protocol == "radius"; got != tc.want {
			t.Errorf("%x: %v", tc.b, got)
		}
	}
}

func TestNotRADIUS(t *testing.T) {
	whole := message(1, at(32, "nas"))
	for i := range len(whole) {
		if r := play(whole[:i]); r.Flows[0].By == "content" {
			t.Errorf("cut at %d it is still RADIUS", i)
		}
	}
	for name, b := range map[string][]byte{
		"an unknown code": message(99), "an attribute of no length": message(1, []byte{1, 1, 0}), "an attribute that is too long": message(1, []byte{1, 9, 0}),
		"DNS": []byte("\x01\x20\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01"),
	} {
		if r := play(b); r.Flows[0].Protocol == "radius" && r.Flows[0].By == "content" {
			t.Errorf("%s is taken for RADIUS", name)
		}
	}
}

// TestCanaries plants users and passwords, whole and damaged.
func TestCanaries(t *testing.T) {
	secrets := []string{"canaryuser", "encryptedcanary", "Canary Alfa", "canary reply", "canarycallback"}
	s := canary.New(secrets)
	full := message(1, at(1, "canaryuser"), at(2, "encryptedcanary!"), at(3, "1encryptedcanary!"), at(11, "Canary Alfa"), at(18, "canary reply"), at(19, "canarycallback"), at(24, "canaryuser"),
		at(25, "canaryuser"), at(30, "canaryuser"), at(31, "canaryuser"), at(44, "canaryuser"), at(79, "\x02\x01\x00\x0f\x01canaryuser"), at(87, "Canary Alfa"), at(81, "canaryuser"), at(26, "\x00\x00\x00\x09\x01\x0ccanaryuser"), at(89, "Canary Alfa"))
	one := dissecttest.Datagram(0, ports, full)
	dissecttest.Planted(t, "radius", secrets, []packet.Headers{one, dissecttest.Datagram(0, ports, full[:90])})
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range len(full) {
		damaged := slices.Clone(full)
		damaged[i] ^= byte(1 + rnd.IntN(255))
		for _, b := range [][]byte{full, full[:i], damaged} {
			r := play(b, b)
			if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
				t.Fatalf("%v %v in\n%s", hits, r.Panics, r.Text())
			}
		}
	}
}

// The captures of Zeek's and nDPI's tests: every packet is known.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]string{"zeek/Traces/radius/radius_localhost.pcap": "", "nDPI/pcap/radius_false_positive.pcapng": "none"} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		n := 0
		for _, f := range r.Flows {
			if f.Protocol == "radius" && f.By == "content" {
				n++
			}
		}
		if (n == 0) != (want == "none") || r.Counters["radius_malformed"] > 0 {
			t.Errorf("%s: %d flows, %v", file, n, r.Counters)
		}
	}
}

func Fuzz(f *testing.F) {
	f.Add(request)
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := play(b, b); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
