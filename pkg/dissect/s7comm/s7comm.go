package s7comm

import (
	"encoding/binary"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/cotp"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// Protocol is S7comm.
var Protocol = dissector.Protocol{
	Name: "s7comm", Ports: []uint16{102},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// The header, in the user data of COTP:
//
//	0 0x32   1 kind   2 0 (2)   4 reference (2)   6 length of parameters (2)   8 length of data (2)   10 error (2), of answers
//
// and of S7comm-plus: 0x72, version, length of data (2).
const (
	magic     = 0x32
	magicPlus = 0x72
	header    = 10

	job      = 1
	ack      = 2
	ackData  = 3
	userData = 7
)

// recognise wants a message of S7 behind what sets up the transport.
func recognise(b []byte, _ bool) dissector.Verdict {
	if len(b) == 0 {
		return dissector.More
	}
	if b[0] != 3 || len(b) > 1 && b[1] != 0 {
		return dissector.No
	}
	verdict := dissector.More
	_, valid := cotp.Walk(b, func(m cotp.Message) bool {
		switch {
		case m.Foreign:
			verdict = dissector.No
		case m.Code != cotp.Data || len(m.User) == 0:
			return false
		case m.User[0] == magicPlus && (len(m.User) < 2 || m.User[1] <= 3 || m.User[1] == 0xfe):
			verdict = verdictOf(len(m.User) >= 4)
		case m.User[0] == magic && (len(m.User) < 2 || kindOf(m.User[1]) != ""):
			verdict = verdictOf(len(m.User) >= header)
		default:
			verdict = dissector.No
		}
		return true
	})
	if !valid {
		return dissector.No
	}
	return verdict
}

func verdictOf(enough bool) dissector.Verdict {
	if enough {
		return dissector.Yes
	}
	return dissector.More
}

func kindOf(b byte) string {
	switch b {
	case job:
		return "job"
	case ack, ackData:
		return "ack"
	case userData:
		return "userdata"
	}
	return ""
}

// The bounds of one connection.
const (
	maxList     = 4096 // bytes of a system state list
	maxAreas    = 32
	maxControls = 64
	plusLooked  = 8 // messages of S7comm-plus that are searched for an order number
)

var format = cotp.Format("s7comm_not_a_message")

// stream is one connection.
type stream struct {
	framing.Both
	szl       []byte // a list in several messages
	told      []string
	areas     []uint32
	once      dissector.Once
	controls  int
	plus      int
	functions dissector.Tally
	asked     dissector.Side
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	s.Half(c).Each(c, &format, b, func(m []byte) bool {
		s.message(c, cotp.Read(m))
		return false
	})
}

// Gap begins anew with what follows.
func (s *stream) Gap(c *dissector.Context, n int64) {
	s.Both.Gap(c, n)
	s.szl = s.szl[:0]
}

// End tells what the connection came to.
func (s *stream) End(c *dissector.Context) {
	s.Both.End(c)
	if s.Ended() {
		s.summary(c)
	}
}

// Size is the bytes that are kept.
func (s *stream) Size() int {
	n := 256 + s.Both.Size() + cap(s.szl) + 4*cap(s.areas) + s.once.Size() + s.functions.Size()
	for _, t := range s.told {
		n += 16 + len(t)
	}
	return n
}

func (s *stream) message(c *dissector.Context, m cotp.Message) {
	switch m.Code {
	case cotp.Connect:
		s.connect(c, m)
	case cotp.Data:
		switch {
		case len(m.User) == 0:
		case m.User[0] == magic:
			s.s7(c, m.User)
		case m.User[0] == magicPlus:
			s.plusMessage(c, m.User)
		default:
			c.Count("s7comm_other")
		}
	}
}

// The kinds of connections, in the first byte of the called selector.
var connections = map[byte]string{1: "pg", 2: "op", 3: "basic"}

// connect tells as what, and to which slot, somebody connects.
func (s *stream) connect(c *dissector.Context, m cotp.Message) {
	f := c.Fact("connect", "client")
	switch {
	case len(m.Called) == 2:
		kind := connections[m.Called[0]]
		if kind == "" {
			kind = strconv.Itoa(int(m.Called[0]))
		}
		f.Attributes.Set("connection", kind)
		f.Attributes.Set("rack", strconv.Itoa(int(m.Called[1]>>5)))
		f.Attributes.Set("slot", strconv.Itoa(int(m.Called[1]&31)))
	case len(m.Called) > 2:
		f.Attributes.Set("connection", selector(m.Called))
	}
	c.Emit(&f)
}

// selector gives a name among selectors, such as SIMATIC-ROOT-HMI.
func selector(b []byte) string {
	for _, x := range b {
		if (x < 'A' || x > 'Z') && x != '-' && x != '_' {
			return "other"
		}
	}
	return dissector.Text(b, 32)
}

// s7 takes one message of S7comm.
func (s *stream) s7(c *dissector.Context, b []byte) {
	if len(b) < header {
		c.Count("s7comm_malformed")
		return
	}
	kind, n := b[1], header
	parameters, data := int(binary.BigEndian.Uint16(b[6:])), int(binary.BigEndian.Uint16(b[8:]))
	if kind == ack || kind == ackData {
		n += 2
	}
	if kindOf(kind) == "" || len(b) < n+parameters {
		c.Count("s7comm_malformed")
		return
	}
	p, d := b[n:n+parameters], b[n+parameters:]
	d = d[:min(data, len(d))]
	switch kind {
	case job:
		s.job(c, p)
	case ack, ackData:
		if b[10]|b[11] != 0 {
			s.refused(c, b[10], b[11])
		}
	case userData:
		s.user(c, p, d)
	}
}

// refused tells of an error, once for each.
func (s *stream) refused(c *dissector.Context, class, code byte) {
	v := "0x" + strconv.FormatUint(uint64(class)<<8|uint64(code)|1<<16, 16)[1:]
	if !s.once.First("error" + v) {
		return
	}
	f := c.Fact("error", "server")
	f.Attributes.Set("error_code", v)
	c.Emit(&f)
}

// count counts a function that was asked for; each hour they are told.
func (s *stream) count(c *dissector.Context, name string) {
	if s.functions.Due(c) {
		s.summary(c)
	}
	s.functions.Count(name)
	s.asked = c.Side
}
