package mqtt_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

func str(s string) string { return string(binary.BigEndian.AppendUint16(nil, uint16(len(s)))) + s }

func packet(kind byte, body string) string {
	n, head := len(body), string([]byte{kind})
	for {
		x := byte(n & 0x7f)
		if n >>= 7; n > 0 {
			x |= 0x80
		}
		head += string([]byte{x})
		if n == 0 {
			return head + body
		}
	}
}

var (
	secrets = []string{"canaryclient", "canary/topic", "canarywill", "canaryuser", "canarypassword", "canary payload"}
	v4      = packet(0x10, str("MQTT")+"\x04\xc6\x00\x3c"+str("canaryclient")+str("canary/topic")+str("canarywill")+str("canaryuser")+str("canarypassword"))
	v5      = packet(0x10, str("MQTT")+"\x05\x82\x00\x0a\x03\x21\x00\x05"+str("canaryclient")+str("admin"))
	v3      = packet(0x10, str("MQIsdp")+"\x03\x02\x00\x0a"+str("canaryclient"))
	publish = packet(0x30, str("canary/topic")+strings.Repeat("canary payload ", 100))
	ping    = packet(0xc0, "")
)

func say(parts ...string) (c dissecttest.Conversation) {
	for i, p := range parts {
		c = append(c, dissecttest.Chunk{Side: i % 2, Data: []byte(p)})
	}
	return c
}

func TestFacts(t *testing.T) {
	for name, tc := range map[string]struct {
		c    dissecttest.Conversation
		want []string
	}{
		"3.1.1 with a password": {say(v4, "\x20\x02\x00\x00", publish+ping+publish, "\xd0\x00"), []string{
			`connect {"account":"other","cleartext_credential":"user_pass","client_id_kind":"other","keepalive_s":"60","mqtt_version":"3.1.1","role":"client","will":"true"}`,
			`connack {"result":"accepted","role":"server"}`, `published {"count":"2"}`,
		}},
		"5.0, the administrator": {say(v5, "\x20\x03\x00\x86\x00", ping, publish), []string{
			`connect {"account":"administrator","client_id_kind":"other","keepalive_s":"10","mqtt_version":"5.0","role":"client"}`, `connack {"result":"refused_credential","role":"server"}`, `published {"count":"1"}`,
		}},
		"3.1, anonymous": {say(v3, "\x20\x02\x00\x05"), []string{
			`connect {"account":"anonymous","client_id_kind":"other","keepalive_s":"10","mqtt_version":"3.1","role":"client"}`, `connack {"result":"refused_not_authorised","role":"server"}`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			sizes := tc.c.Sizes()
			for i := range min(sizes[0]+sizes[1], 600) {
				r := dissecttest.Play(dissect.Config{}, tc.c.Cut(i).Segments(true))
				var got []string
				for _, f := range r.Facts {
					b, _ := f.Attributes.MarshalJSON()
					got = append(got, f.Kind+" "+string(b))
				}
				if !slices.Equal(got, tc.want) || r.Flows[0].Protocol != "mqtt" {
					t.Fatalf("cut at %d: %q", i, got)
				}
			}
		})
	}
}

// What is told of a client's identifier, and of a login by SASL.
func TestClients(t *testing.T) {
	for id, want := range map[string]string{
		"": "empty", "canaryclient": "other", "mosq/9ab34canary": "library mosquitto", "paho1234": "library paho", "pump_001A2B3C4D5E": "mac 00:1a:2b:3c:4d:5e", "00:1a:2b:3c:4d:5e": "mac 00:1a:2b:3c:4d:5e",
		"123456789012": "other", "patient/123456789012": "other", "x_001A2B3C4D5": "other", "9f1b4c1e-7f0e-4e0e-8f43-123456789abc": "uuid",
	} {
		r := dissecttest.Play(dissect.Config{}, say(packet(0x10, str("MQTT")+"\x04\x02\x00\x0a"+str(id))).Segments(true))
		a := r.Facts[0].Attributes
		if got := strings.TrimSpace(a.Get("client_id_kind") + " " + a.Get("software") + a.Get("mac")); got != want {
			t.Errorf("%q: %s", id, got)
		}
	}
	r := dissecttest.Play(dissect.Config{}, say(packet(0x10, str("MQTT")+"\x05\x02\x00\x0a"+"\x13\x11\x00\x00\x00\x0a\x15"+str("PLAIN")+"\x16"+str("abc")+str("canaryclient"))).Segments(true))
	if a := r.Facts[0].Attributes; a.Get("mechanism") != "plain" || a.Get("cleartext_credential") != "plain" || a.Get("client_id_kind") != "other" {
		t.Errorf("%v", a)
	}
}

func TestNotMQTT(t *testing.T) {
	for _, s := range []string{"\x10\x05\x00\x04MQT", "\x10\x0c\x00\x04MQTT\x06\x00\x00\x00\x00\x00", "\x10\xff\xff\xff\xff\xff", "\x11\x0c\x00\x04MQTT\x04", "\x20\x02\x00\x00"} {
		if r := dissecttest.Play(dissect.Config{}, say(s).Segments(true)); r.Flows[0].Protocol == "mqtt" && r.Flows[0].By == "content" {
			t.Errorf("%q is taken for MQTT", s)
		}
	}
}

func TestCanaries(t *testing.T) {
	s := canary.New(secrets)
	c := say(v4, "\x20\x02\x00\x00", publish, publish)
	dissecttest.Planted(t, "mqtt", secrets, c.Segments(true), c.Cut(30, 99).Segments(false), say(v5).Segments(true))
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range 400 {
		list := c.Cut(i, i+1+rnd.IntN(90)).Segments(true)
		damaged := []byte(v4)
		damaged[i%len(damaged)] ^= byte(1 + rnd.IntN(255))
		for _, r := range []*dissecttest.Result{
			dissecttest.Play(dissect.Config{}, list), dissecttest.Play(dissect.Config{}, slices.Delete(slices.Clone(list), 3, 4)),
			dissecttest.Play(dissect.Config{}, say(string(damaged), publish, publish).Segments(true)),
		} {
			if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
				t.Fatalf("at %d: %v %v in\n%s", i, hits, r.Panics, r.Text())
			}
		}
	}
}

// What Zeek's mqtt_connect.log has of its own capture.
func TestCapture(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/zeek/Traces/mqtt.pcap")))
	if list := r.Of("mqtt", "connect"); len(list) == 0 || list[0].Attributes.Get("mqtt_version") == "" || len(r.Of("mqtt", "connack")) != len(list) {
		t.Errorf("%s", r.Text())
	}
}

func Fuzz(f *testing.F) {
	f.Add([]byte(v4+publish), []byte("\x20\x02\x00\x00"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if r := dissecttest.Play(dissect.Config{}, say(string(a), string(b), string(a)).Segments(true)); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
