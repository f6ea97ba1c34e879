package snmp

import "github.com/wardflow/wardflow/pkg/dissect/dissector"

// Protocol is SNMP over UDP.
var Protocol = dissector.Protocol{Name: "snmp", Ports: []uint16{portAgent, portTrap}, Datagram: datagram}

const (
	portAgent = 161
	portTrap  = 162

	maxCommunity = 255
	maxEngineID  = 32 // RFC 3411 5
	maxUser      = 32 // RFC 3414 5
	maxVariables = 1024
	maxLong      = 16 // bytes by which a message may be shorter than it says
)

// Versions on the wire.
const (
	version1  = 0
	version2c = 1
	version2u = 2 // RFC 1910: never deployed
	version3  = 3
)

// kinds are the names of the PDUs, by tag (RFC 3416 3, RFC 1157 4.1).
var kinds = [...]string{"get", "get_next", "response", "set", "trap", "get_bulk", "inform", "trap", "report"}

// message is one message under the cursor.
type message struct {
	version   int64
	community []byte
	v3        security
	encrypted bool
	tag       byte // of the PDU, 0 where none was found
	pdu       reader
	malformed bool // the head is a message's, and something behind it is not
}

// security is what an SNMPv3 message says of itself (RFC 3412 6, RFC 3414 2.4).
type security struct {
	flags       byte
	engine      []byte
	named       bool // by the parameters: the authoritative one, and not only the context's
	boots, time uint64
	authSize    int
}

// The bits of msgFlags.
const (
	flagAuth       = 1
	flagPriv       = 2
	flagReportable = 4
)

func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	h := c.Headers
	mild := known || home(h.SrcPort) || home(h.DstPort)
	var m message
	if !m.read(b, max(0, h.PayloadLen-len(b)), mild) {
		return dissector.No
	}
	if m.version == version2u {
		return dissector.Yes
	}
	if m.tag == 0 && !m.encrypted {
		c.Count("snmp_pdu_malformed")
		return dissector.Yes
	}
	s, _ := c.State.(*state)
	if s == nil {
		s = new(state)
		c.State = s
	}
	s.message(c, &m)
	return dissector.Yes
}

func home(port uint16) bool { return port == portAgent || port == portTrap }

// read takes the message apart as far as the PDU:
//
//	SEQUENCE { version, community, PDU }
//	SEQUENCE { 3, SEQUENCE { id, size, flags, model }, OCTETS { parameters }, scoped PDU | OCTETS }
//
// Without mild all that surrounds the values has to be right.
func (m *message) read(b []byte, missing int, mild bool) bool {
	if len(b) < 8 || b[0] != tagSequence {
		return false
	}
	outer := reader{b: b, missing: missing}
	if short := outer.short(); mild && short > 0 && short <= maxLong {
		outer.missing, m.malformed = missing+short, true // a length that is a few bytes too long
	}
	r := outer.want(tagSequence)
	if r.bad || !mild && !outer.empty() {
		return false
	}
	m.version = r.integer()
	switch {
	case r.bad:
		return false
	case m.version == version3:
		return m.read3(&r, mild)
	case m.version == version2u && mild:
		return true
	case m.version != version1 && m.version != version2c:
		return false
	}
	if m.community = r.octets(); r.bad || len(m.community) > maxCommunity {
		return false
	}
	return m.open(&r, mild)
}

// open takes the PDU, which ends its surroundings.
func (m *message) open(r *reader, mild bool) bool {
	m.tag, m.pdu = r.next()
	if m.tag < tagFirstPDU || m.tag > tagLastPDU {
		return false
	}
	if m.tag == tagTrapV1 && m.version != version1 || m.version == version1 && m.tag > tagTrapV1 {
		m.malformed = true
	}
	if r.bad || !r.empty() {
		m.malformed = true
	}
	if m.malformed && !mild {
		return false
	}
	return mild || m.sound()
}

// sound checks a PDU to its end: numbers, then variables that fill it.
func (m *message) sound() bool {
	r := m.pdu
	if m.tag == tagTrapV1 {
		r.want(tagOID)
		r.want(tagIPAddress)
		r.integer()
		r.integer()
		r.want(tagTicks)
	} else {
		r.integer()
		r.integer()
		r.integer()
	}
	list := r.want(tagSequence)
	if r.bad || !r.empty() {
		return false
	}
	for !list.empty() && !list.bad {
		one := list.want(tagSequence)
		if len(one.b) == 0 && one.missing > 0 {
			return true // not captured
		}
		one.want(tagOID)
		if one.missing == 0 {
			one.next()
		}
		if one.bad || !one.empty() && one.missing == 0 {
			return false
		}
	}
	return !list.bad
}

func (m *message) read3(r *reader, mild bool) bool {
	head := r.want(tagSequence)
	head.integer()
	head.integer()
	flags := head.octets()
	model := head.integer()
	parameters := r.want(tagOctets)
	if r.bad || head.bad || !head.empty() || len(flags) != 1 || model < 1 || parameters.missing > 0 {
		return false
	}
	s := &m.v3
	s.flags = flags[0]
	if model == 3 && !s.read(parameters.b) {
		if !mild {
			return false
		}
		m.malformed = true
	}
	if len(r.b) > 0 && r.b[0] == tagOctets {
		if s.flags&flagPriv == 0 {
			return false
		}
		m.encrypted = true
		return mild || r.want(tagOctets).b != nil && r.empty()
	}
	scoped := r.want(tagSequence)
	if r.bad || !r.empty() {
		m.malformed = true
		return mild
	}
	if engine := scoped.octets(); s.engine == nil && len(engine) <= maxEngineID {
		s.engine = engine
	}
	scoped.octets() // the context's name
	if scoped.bad {
		m.malformed = true
		return mild
	}
	return m.open(&scoped, mild)
}

// read takes the parameters of the user-based model.
func (s *security) read(b []byte) bool {
	outer := reader{b: b}
	r := outer.want(tagSequence)
	engine := r.octets()
	s.boots, s.time = r.natural(), r.natural()
	user := r.octets()
	s.authSize = len(r.octets())
	r.octets()
	if r.bad || !r.empty() || !outer.empty() || len(engine) > maxEngineID || len(user) > maxUser {
		return false
	}
	if len(engine) > 0 {
		s.engine, s.named = engine, true
	}
	return true
}

// level is the security level in the words of RFC 3411 3.4.3.
func (s *security) level() string {
	switch s.flags & (flagAuth | flagPriv) {
	case 0:
		return "noauth_nopriv"
	case flagAuth:
		return "auth_nopriv"
	}
	return "auth_priv"
}

// authentication tells the family of the authentication protocol by the size of
// its code: 96 bits are MD5's or SHA-1's (RFC 3414), more are SHA-2's (RFC 7860).
func (s *security) authentication() string {
	if s.flags&flagAuth == 0 {
		return ""
	}
	return map[int]string{12: "hmac_96", 16: "hmac_128", 24: "hmac_192", 32: "hmac_256", 48: "hmac_384"}[s.authSize]
}

// expects reports that the sender wants an answer (RFC 3411 2.8, the confirmed class). Of
// an encrypted message that is known by whether it may be reported on (RFC 3412 6.4);
// an agent's own port goes before that.
func (m *message) expects(c *dissector.Context) bool {
	if m.encrypted {
		return m.v3.flags&flagReportable != 0 && (c.Headers.SrcPort != portAgent || c.Headers.DstPort == portAgent)
	}
	switch kinds[m.tag-tagFirstPDU] {
	case "response", "trap", "report":
		return false
	}
	return true
}

// sender says what the sender of the message is: the agent answers and sends
// traps, the manager asks. What is encrypted is judged by port, then by whether
// the sender wants to hear of errors.
func (m *message) sender(c *dissector.Context) (role, kind string) {
	if m.encrypted {
		switch {
		case c.Headers.SrcPort == portAgent && c.Headers.DstPort != portAgent:
			return "server", "encrypted"
		case c.Headers.DstPort == portTrap:
			return "server", "encrypted"
		case c.Headers.DstPort == portAgent, m.v3.flags&flagReportable != 0:
			return "client", "encrypted"
		}
		return "server", "encrypted"
	}
	kind = kinds[m.tag-tagFirstPDU]
	switch kind {
	case "response", "trap", "inform", "report":
		return "server", kind
	}
	return "client", kind
}
