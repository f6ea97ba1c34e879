package intellivue

import (
	"bytes"
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is IntelliVue Data Export.
var Protocol = dissector.Protocol{Name: "intellivue", Ports: []uint16{24105, 24005}, Datagram: datagram}

// What messages begin with.
var (
	sessionData  = []byte{0x13, 1, 0, 0x16, 1, 2, 0x80, 0, 0x14, 2, 0, 2} // of a connect and an accept, behind 5 and a length
	sessionAbort = []byte{0x11, 1, 3}
)

const (
	spData     = 0xe1000002 // session id and presentation context of data
	presented  = 0xc1       // begins the presentation layer of the session messages
	minSession = 12
)

// message is one datagram as it was recognised.
type message struct {
	session byte // of an association message, 0 for others
	body    []byte
	connect bool // a Connect Indication
	op      uint16
	command uint16
	linked  byte // state of a linked result
}

// parse judges a datagram by its structure: all of its lengths have to agree. total is
// its length on the wire, of which b may be the beginning.
func parse(b []byte, total int) (m message, ok bool) {
	if len(b) < minSession {
		return m, false
	}
	if associations[b[0]] != "" {
		return session(b, total)
	}
	switch x := binary.BigEndian.Uint32(b); {
	case x == spData:
		m.body = b[4:]
		ok = m.operation(total - 4)
		return m, ok
	case x>>16 == 0: // a nomenclature's version
		m.body, m.connect = b[4:], true
		ok = m.operation(total-4) && m.op == opInvoke && m.command == cmdEvent &&
			len(m.body) >= 14 && binary.BigEndian.Uint16(m.body) == classMDS && binary.BigEndian.Uint16(m.body[10:]) == eventConnect
		return m, ok
	}
	return m, false
}

// session judges an association message: type, length, and what each begins with.
func session(b []byte, total int) (m message, ok bool) {
	n, head := int(b[1]), 2
	if n == 0xff {
		n, head = int(binary.BigEndian.Uint16(b[2:])), 4
	}
	if head+n != total {
		return m, false
	}
	m.session, m.body = b[0], b[head:]
	rest := m.body
	switch m.session {
	case spduConnect, spduAccept:
		return m, len(rest) > 2 && rest[0] == 5 && bytes.HasPrefix(rest[2:], sessionData)
	case spduAbort:
		if !bytes.HasPrefix(rest, sessionAbort) {
			return m, false
		}
		rest = rest[len(sessionAbort):]
	case spduRefuse:
		if i := bytes.IndexByte(rest[:min(len(rest), 12)], presented); i >= 0 {
			rest = rest[i:]
		}
	}
	// The presentation layer of the guide's messages is of indefinite lengths.
	if len(rest) < 6 || rest[0] != presented {
		return m, false
	}
	return m, rest[3] == 0x80 && (rest[2] == 0x61 || rest[2] == 0xa0 || rest[2] == 0x31) || rest[1] == 0xff && rest[5] == 0x80
}

// operation reads the headers of a remote operation. total is the length from there.
func (m *message) operation(total int) bool {
	b := m.body
	if len(b) < 10 {
		return false
	}
	m.op = binary.BigEndian.Uint16(b)
	if int(binary.BigEndian.Uint16(b[2:])) != total-4 {
		return false
	}
	b, total = b[4:], total-4
	if m.op == opLinked {
		m.linked = b[0]
		b, total = b[2:], total-2
	}
	if len(b) < 6 || int(binary.BigEndian.Uint16(b[4:])) != total-6 {
		return false
	}
	m.command = binary.BigEndian.Uint16(b[2:])
	m.body = b[6:]
	switch m.op {
	case opError:
		return m.command < 64
	case opInvoke, opResult, opLinked:
		switch m.command {
		case cmdEvent, cmdConfirmedEvent, cmdGet, cmdSet, cmdConfirmedSet, cmdAction:
			return true
		}
	}
	return false
}

func datagram(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
	m, ok := parse(b, max(len(b), c.Headers.PayloadLen))
	if !ok {
		return dissector.No
	}
	s, ok := c.State.(*state)
	if !ok {
		s = newState()
		c.State = s
	}
	if len(b) < c.Headers.PayloadLen {
		c.Count("intellivue_cut")
	}
	switch {
	case m.session != 0:
		s.association(c, &m)
	default:
		s.data(c, &m)
	}
	return dissector.Yes
}
