package mqtt

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/sasl"
	"github.com/wardflow/wardflow/proto"
)

// Flags of a CONNECT (MQTT 5, 3.1.2.3).
const (
	flagUser     = 0x80
	flagPassword = 0x40
	flagWill     = 0x04
	flagClean    = 0x02
)

var versions = map[byte]string{3: "3.1", 4: "3.1.1", 5: "5"}

// reader takes a packet apart; after the first length that lies, all is empty.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.b, r.bad = nil, true
		return nil
	}
	x := r.b[:n]
	r.b = r.b[n:]
	return x
}

func (r *reader) u16() int {
	if x := r.take(2); x != nil {
		return int(binary.BigEndian.Uint16(x))
	}
	return 0
}

// text is a string or binary data, behind its length.
func (r *reader) text() []byte { return r.take(r.u16()) }

// properties are those of version 5, behind their length.
func (r *reader) properties() []byte {
	n, size, ok := length(append([]byte{0}, r.b[:min(len(r.b), 4)]...))
	if !ok || size == 0 {
		r.b, r.bad = nil, true
		return nil
	}
	r.take(size - 1)
	return r.take(int(n))
}

// connect reads a CONNECT:
//
//	name (2+) | version (1) | flags (1) | keep alive (2) | [properties] | client id (2+) | [will] | [user (2+)] | [password (2+)]
func (s *stream) connect(c *dissector.Context, b []byte) {
	r := reader{b: b}
	r.text()
	head := r.take(2)
	alive := r.u16()
	if r.bad {
		c.Count("mqtt_malformed")
		return
	}
	s.version = head[0] & 0x7f
	flags := head[1]
	f := dissector.Fact{Kind: "connect", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "client")
	a.Set("mqtt_version", versions[s.version])
	a.Set("keep_alive_s", strconv.Itoa(alive))
	if flags&flagClean != 0 {
		a.Set("clean_session", "true")
	}
	if head[0]&0x80 != 0 {
		a.Set("bridge", "true")
	}
	if s.version == 5 {
		method(a, r.properties())
	}
	id := r.text()
	if !r.bad {
		identify(a, id)
	}
	if flags&flagWill != 0 {
		if s.version == 5 {
			r.properties()
		}
		r.text()
		r.text()
		a.Set("will", "true")
	}
	if flags&flagUser != 0 {
		if name := r.text(); !r.bad {
			a.Set("account", dissector.Account(name))
		}
	}
	if flags&flagPassword != 0 {
		a.Set("cleartext_credential", "user_pass")
	}
	c.Emit(&f)
}

// method looks for the authentication method (MQTT 5, 3.1.2.11.9) in properties. Before
// it may stand those of fixed size, and pairs of the user's own.
func method(a *proto.Attributes, b []byte) {
	const authentication = 0x15
	r := reader{b: b}
	for len(r.b) > 0 && !r.bad {
		switch r.take(1)[0] {
		case 0x11, 0x27: // session expiry, maximum packet size
			r.take(4)
		case 0x21, 0x22: // receive maximum, topic alias maximum
			r.take(2)
		case 0x17, 0x19: // request for information
			r.take(1)
		case 0x26: // the user's own
			r.text()
			r.text()
		case 0x16: // data of the authentication
			r.text()
		case authentication:
			if name := r.text(); !r.bad {
				a.Set("mechanism", sasl.Mechanism(name))
			}
		default:
			return
		}
	}
}

// libraries are what the ids begin with that libraries make when nobody gives one.
var libraries = []struct{ prefix, name string }{
	{"mosq", "mosquitto"},
	{"mosqpub", "mosquitto"},
	{"mosqsub", "mosquitto"},
	{"paho", "paho"},
	{"mqttjs_", "mqtt.js"},
	{"MQTT_FX", "mqtt.fx"},
	{"mqtt-explorer", "mqtt-explorer"},
	{"mqttx_", "mqttx"},
	{"auto-", "mosquitto"},
	{"ESP8266Client", "pubsubclient"},
	{"ESP32Client", "pubsubclient"},
	{"ESP32_", "esp-mqtt"},
	{"DVES_", "tasmota"},
	{"shelly", "shelly"},
	{"zigbee2mqtt", "zigbee2mqtt"},
	{"hivemq-", "hivemq"},
	{"homeassistant", "homeassistant"},
}

// identify tells of a client's id what kind it is, and a MAC address or a library's
// name in it. The id itself is what somebody chose.
func identify(a *proto.Attributes, id []byte) {
	kind := "other"
	switch {
	case len(id) == 0:
		kind = "empty"
	case hexadecimal(id, 32, true):
		kind = "uuid"
	}
	for _, l := range libraries {
		if len(id) >= len(l.prefix) && bytes.EqualFold(id[:len(l.prefix)], []byte(l.prefix)) {
			a.Set("software", l.name)
			kind = "library"
		}
	}
	if mac := hardware(id); mac != "" {
		a.Set("mac", mac)
		kind = "mac"
	}
	a.Set("client_id_kind", kind)
}

// hexadecimal holds for n digits, with hyphens between if they may be.
func hexadecimal(b []byte, n int, hyphens bool) bool {
	digits := 0
	for _, x := range b {
		switch {
		case x >= '0' && x <= '9', x >= 'a' && x <= 'f', x >= 'A' && x <= 'F':
			digits++
		case x != '-' || !hyphens:
			return false
		}
	}
	return digits == n
}

// hardware is the MAC address that an id is, or ends with behind a sign: twelve digits,
// or six pairs with colons or hyphens.
func hardware(id []byte) string {
	s := strings.ToLower(string(id[:min(len(id), 64)]))
	if len(s) >= 17 {
		pairs := s[len(s)-17:]
		if pairs[2] == pairs[5] && (pairs[2] == ':' || pairs[2] == '-') {
			s = s[:len(s)-17] + strings.ReplaceAll(pairs, pairs[2:3], "")
		}
	}
	if len(s) < 12 {
		return ""
	}
	before, digits := s[:len(s)-12], s[len(s)-12:]
	if before != "" && strings.IndexByte("_-:/.", before[len(before)-1]) < 0 || strings.Trim(digits, "0123456789") == "" && before == "" {
		return "" // twelve digits may be any number
	}
	n, err := strconv.ParseUint(digits, 16, 48)
	if err != nil || n == 0 || n>>40&1 != 0 {
		return ""
	}
	var m proto.MAC
	for i := range m {
		m[i] = byte(n >> (8 * (5 - i)))
	}
	return m.String()
}

// reasons are the codes of a CONNACK: those of 3.1.1 (3.2.2.3) and of 5 (3.2.2.2).
var reasons = map[byte]string{
	1: "protocol_version", 2: "client_id", 3: "server_unavailable", 4: "bad_credentials", 5: "not_authorized",
	0x80: "unspecified", 0x81: "malformed", 0x82: "protocol_error", 0x83: "implementation", 0x84: "protocol_version", 0x85: "client_id", 0x86: "bad_credentials", 0x87: "not_authorized", 0x88: "server_unavailable",
	0x89: "server_busy", 0x8a: "banned", 0x8c: "bad_method", 0x90: "topic_name", 0x95: "packet_too_large", 0x97: "quota_exceeded", 0x99: "payload_format", 0x9a: "retain", 0x9b: "qos", 0x9c: "use_another_server",
	0x9d: "server_moved", 0x9f: "rate_exceeded",
}

// connack reads the broker's answer: flags (1) | code (1) | [properties].
func (s *stream) connack(c *dissector.Context, b []byte) {
	if len(b) < 2 {
		c.Count("mqtt_malformed")
		return
	}
	f := dissector.Fact{Kind: "connack", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	if b[1] == 0 {
		a.Set("outcome", "success")
	} else {
		a.Set("outcome", "failure")
		reason := reasons[b[1]]
		if reason == "" {
			reason = strconv.Itoa(int(b[1]))
		}
		a.Set("reason", reason)
	}
	c.Emit(&f)
}
