package mqtt_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/mqtt"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

func str(s string) []byte { return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...) }

// pack is a packet: its first byte, and what follows the length.
func pack(first byte, parts ...[]byte) []byte {
	b := slices.Concat(parts...)
	n := len(b)
	head := []byte{first, byte(n & 0x7f)}
	if n > 127 {
		head = []byte{first, byte(n&0x7f) | 0x80, byte(n >> 7)}
	}
	return append(head, b...)
}

func connect(version byte, flags byte, id string, more ...[]byte) []byte {
	name := "MQTT"
	if version == 3 {
		name = "MQIsdp"
	}
	props := []byte(nil)
	if version == 5 {
		props = append([]byte{5 + 8}, "\x11\x00\x00\x00\x0a\x15\x00\x05PLAIN"...)
	}
	return pack(0x10, str(name), []byte{version, flags, 0, 60}, props, str(id), slices.Concat(more...))
}

func say(list ...[]byte) dissecttest.Conversation {
	var c dissecttest.Conversation
	for i, b := range list {
		c = append(c, dissecttest.Chunk{Side: i % 2, Data: b})
	}
	return c
}

var secrets = []string{"CANARY-ALFA", "PHI-0001-CANARY", "jcanaryuser", "canarypassword"}

func conversation() dissecttest.Conversation {
	return say(connect(4, 0xc6, "CANARY-ALFA", str("PHI-0001-CANARY"), str("CANARY-ALFA"), str("jcanaryuser"), str("canarypassword")), []byte{0x20, 2, 0, 0},
		pack(0x82, []byte{0, 1}, str("ward/CANARY-ALFA"), []byte{1}), []byte{0x90, 3, 0, 1, 1}, slices.Concat(pack(0x30, str("ward/CANARY-ALFA"), []byte("PHI-0001-CANARY")), pack(0x32, str("x"), []byte{0, 2}, []byte(strings.Repeat("PHI-0001-CANARY", 30)))),
		pack(0x30, str("CANARY-ALFA"), []byte("PHI-0001-CANARY")), []byte{0xc0, 0}, []byte{0xd0, 0}, []byte{0xe0, 0})
}

func TestConversation(t *testing.T) {
	r := dissecttest.EveryCut(t, conversation())
	want := `mqtt connect > account=other clean_session=true cleartext_credential=user_pass client_id_kind=other keep_alive_s=60 mqtt_version=3.1.1 will=true
mqtt connack < outcome=success
mqtt session > received=connack:1|pingresp:1|publish:1|suback:1 sent=connect:1|disconnect:1|pingreq:1|publish:2|subscribe:1
`
	if r.Brief() != want || r.Flows[0].Protocol != "mqtt" || r.Flows[0].By != proto.ByContent {
		t.Errorf("got\n%swant\n%s", r.Brief(), want)
	}
}

func TestCanaries(t *testing.T) { dissecttest.NoLeak(t, secrets, conversation()) }

func TestConnects(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		in         []byte
	}{
		{"version 5", "clean_session=true client_id_kind=empty keep_alive_s=60 mechanism=plain mqtt_version=5", connect(5, 2, "")},
		{"version 3.1", "account=administrator client_id_kind=library keep_alive_s=60 mqtt_version=3.1 software=mosquitto", connect(3, 0x80, "mosq/9ab34", str("admin"))},
		{"a MAC", "client_id_kind=mac keep_alive_s=60 mac=00:1a:2b:3c:4d:5e mqtt_version=3.1.1", connect(4, 0, "pump_001A2B3C4D5E")},
		{"a MAC in pairs", "client_id_kind=mac keep_alive_s=60 mac=00:1a:2b:3c:4d:5e mqtt_version=3.1.1", connect(4, 0, "00:1a:2b:3c:4d:5e")},
		{"a number", "client_id_kind=other keep_alive_s=60 mqtt_version=3.1.1", connect(4, 0, "200012345678")},
		{"a UUID", "client_id_kind=uuid keep_alive_s=60 mqtt_version=3.1.1", connect(4, 0, "9cbe294b-dd63-47b6-8d1f-3dce81383e69")},
		{"a bridge", "bridge=true client_id_kind=other keep_alive_s=60 mqtt_version=3.1.1", connect(4|0x80, 0, "x")},
	} {
		if r := dissecttest.EveryCut(t, say(tc.in)); !strings.HasPrefix(r.Brief(), "mqtt connect > "+tc.want+"\n") {
			t.Errorf("%s: %s", tc.name, r.Brief())
		}
	}
	for code, want := range map[byte]string{5: "not_authorized", 0x86: "bad_credentials", 0xee: "238"} {
		if r := dissecttest.Play(dissect.Config{}, say(connect(4, 0, "x"), []byte{0x20, 2, 0, code}).Segments(true)); !strings.Contains(r.Brief(), "connack < outcome=failure reason="+want+"\n") {
			t.Errorf("%d: %s", code, r.Brief())
		}
	}
}

func TestRecognise(t *testing.T) {
	good := connect(4, 2, "x")
	for i := range good {
		if got := mqtt.Protocol.Recognise(good[:i], false); got == dissector.No {
			t.Errorf("%d bytes", i)
		}
	}
	for name, b := range map[string][]byte{
		"another name": pack(0x10, str("AMQP"), []byte{4, 2, 0, 60}, str("x")), "version 9": connect(9, 2, "x"), "a reserved flag": connect(4, 3, "x"), "a short length": {0x10, 4, 0, 4, 'M', 'Q', 'T', 'T'}, "five bytes of length": {0x10, 0xff, 0xff, 0xff, 0xff, 1},
		"an answer": {0x20, 2, 0, 0}, "text": []byte("GET /"),
	} {
		if mqtt.Protocol.Recognise(b, false) != dissector.No {
			t.Errorf("%s is recognised", name)
		}
	}
}

// A connection is not counted for ever.
func TestStops(t *testing.T) {
	c := say(connect(4, 2, "x"))
	for range 3000 {
		c = append(c, dissecttest.Chunk{Data: []byte{0xc0, 0}})
	}
	if r := dissecttest.Play(dissect.Config{}, c.Segments(true)); r.Counters["tcp_segments"] > 2100 || !strings.Contains(r.Brief(), "incomplete=true") {
		t.Errorf("%d segments: %s", r.Counters["tcp_segments"], r.Brief())
	}
}

// Zeek's mqtt_connect.log and Suricata's mqtt events of these captures.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]string{
		"zeek/Traces/mqtt.pcap":                                               "client_id_kind=library keep_alive_s=5 mqtt_version=3.1 software=paho",
		"suricata-verify/mqtt5-sub-userpass/input.pcap":                       "account=default clean_session=true cleartext_credential=user_pass",
		"suricata-verify/mqtt311-pub-qos2/input.pcap":                         "received=connack:1|pubcomp:1|pubrec:1 sent=connect:1|disconnect:1|publish:1|pubrel:1",
		"suricata-verify/mqtt-connect-rules-2/mqtt5_pub_jpeg_connack134.pcap": "outcome=failure reason=bad_credentials",
		"nDPI/pcap/mqtt.pcap":                                                 "connack > outcome=success",
		"suricata-verify/mqtt5-sub-customauth/input.pcap":                     "connect >",
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		if !strings.Contains(r.Brief(), want) {
			t.Errorf("%s: no %q in\n%s", file, want, r.Brief())
		}
	}
}

func FuzzStream(f *testing.F) {
	var parts [2][]byte
	for _, x := range conversation() {
		parts[x.Side] = append(parts[x.Side], x.Data...)
	}
	f.Add(parts[0], parts[1], 40)
	f.Add(connect(5, 0xc6, "x", str("t"), str("m")), []byte{0x20, 3, 0, 0, 0}, 7)
	f.Fuzz(dissecttest.FuzzCut)
}
