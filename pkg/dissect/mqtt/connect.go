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
)

var versions = map[byte]string{3: "3.1", 4: "3.1.1", 5: "5.0"}

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
	n, size := length(r.b)
	if size <= 0 {
		r.b, r.bad = nil, true
		return nil
	}
	r.take(size)
	return r.take(n)
}

// readConnect tells the version, who the client is, and how it logs in (3.1.2):
//
//	name | level (1) | flags (1) | keep alive (2) | [5.0: properties] | client id | [will] | [user] | [password]
func readConnect(c *dissector.Context, b []byte) {
	r := reader{b: b}
	r.text()
	head := r.take(2)
	alive := r.u16()
	if r.bad {
		c.Count("mqtt_malformed")
		return
	}
	level, flags := head[0]&0x7f, head[1]
	f := dissector.Fact{Subject: dissector.Subject{Side: c.Side}, Kind: "connect"}
	a := &f.Attributes
	a.Set("role", "client")
	a.Set("mqtt_version", versions[level])
	a.Set("keepalive_s", strconv.Itoa(alive))
	if head[0]&0x80 != 0 {
		a.Set("bridge", "true")
	}
	if level == 5 {
		method(a, r.properties())
	}
	if id := r.text(); !r.bad {
		identify(a, id)
	}
	if flags&flagWill != 0 {
		if level == 5 {
			r.properties()
		}
		r.text()
		r.text()
		a.Set("will", "true")
	}
	if flags&flagUser == 0 {
		a.Set("account", "anonymous")
	} else {
		if flags&flagPassword != 0 {
			a.Set("cleartext_credential", "user_pass")
		}
		if name := r.text(); !r.bad {
			a.Set("account", dissector.Account(name))
		}
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
				a.Set("cleartext_credential", sasl.Cleartext(sasl.Mechanism(name)))
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
	if mac := hardware(id); mac != "" && kind != "uuid" {
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
// or six pairs with colons or hyphens. Without colons one of the digits must be a letter:
// what is all decimal may be anybody's number.
func hardware(id []byte) string {
	s := strings.ToLower(string(id[:min(len(id), 64)]))
	colons := false
	if len(s) >= 17 {
		pairs := s[len(s)-17:]
		if pairs[2] == pairs[5] && (pairs[2] == ':' || pairs[2] == '-') {
			colons = pairs[2] == ':'
			s = s[:len(s)-17] + strings.ReplaceAll(pairs, pairs[2:3], "")
		}
	}
	if len(s) < 12 {
		return ""
	}
	before, digits := s[:len(s)-12], s[len(s)-12:]
	if before != "" && strings.IndexByte("_-:/.", before[len(before)-1]) < 0 || !colons && strings.Trim(digits, "0123456789") == "" {
		return ""
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
