package modbus

import (
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// The bounds of what is kept and told of one connection.
const (
	maxWaiting    = 16 // requests without response
	maxRanges     = 32 // of addresses written
	maxTold       = 64 // facts of a kind
	maxExceptions = 32
	maxUnits      = 32 // that are listed
	maxIdentities = 16
	maxLean       = 8
)

// summaryEvery is how often a connection that does not end is summed up.
const summaryEvery = 3600 * 1e9

// stream is one Modbus connection.
type stream struct {
	half    [2]half
	framing framing
	ended   [2]bool
	lean    int // messages that show that side 0 asks, less those that show side 1
	asks    int // side that asks, or may

	requests [maxWaiting]request // a ring; the last waiting ones have no response
	next     int
	waiting  int

	account
	exceptions []exception
	told       struct {
		writes, control, exceptions int
		functions                   [4]uint64 // written with, as bits
		diagnostics                 uint32    // subfunctions, as bits
	}
	identities []identity
	servers    []serverID
	first      string // the identity of the device itself
	firstUnit  uint8
}

type request struct {
	transaction int
	unit        uint8
	function    uint8
	operation   uint8 // of UMAS
	done        bool
}

// account is what a connection's summary tells.
type account struct {
	since               proto.Time
	asked, answered     uint32
	unmatched, excepted uint32
	functions           [128]uint32
	units               [4]uint64
	ranges              []span
	more                bool // ranges that are not kept
}

type exception struct {
	unit, function, code uint8
	count                uint32
}

// span is a run of coils or registers of a unit that was written.
type span struct {
	unit      uint8
	registers bool
	from, to  int
	count     uint32
}

// pdu takes one message.
func (s *stream) pdu(c *dissector.Context, transaction int, unit uint8, p []byte, request, response bool) {
	side := int(c.Side & 1)
	if request != response {
		if (side == 0) == request {
			s.lean = min(s.lean+1, maxLean)
		} else {
			s.lean = max(s.lean-1, -maxLean)
		}
	}
	client := 0
	opener, other := c.Headers.SrcPort, c.Headers.DstPort
	if side == 1 {
		opener, other = other, opener
	}
	if s.lean < 0 || s.lean == 0 && opener == port && other != port { // who opened it sits where servers do
		client = 1
	}
	s.asks = client
	now := c.Headers.Time
	if s.since == 0 {
		s.since = now
	}
	if now-s.since >= summaryEvery {
		s.summary(c)
		s.since = now
	}
	if side == client {
		s.request(c, transaction, unit, p, request)
	} else {
		s.response(c, transaction, unit, p)
	}
}

// request takes what a client asks for; ok is false for one that is not of the
// specification's shape.
func (s *stream) request(c *dissector.Context, transaction int, unit uint8, p []byte, ok bool) {
	f := p[0] & 0x7f
	s.asked++
	s.functions[f]++
	s.units[unit>>6] |= 1 << (unit & 63)
	r := request{transaction: transaction, unit: unit, function: f}
	if f == umas && len(p) > 2 {
		r.operation = p[2]
	}
	s.requests[s.next] = r
	s.next = (s.next + 1) % maxWaiting
	s.waiting = min(s.waiting+1, maxWaiting)
	if !ok {
		return
	}
	switch f {
	case writeCoil, writeRegister, maskWriteRegister:
		s.write(c, unit, f, quantity(p, 1), 1)
	case writeCoils, writeRegisters:
		s.write(c, unit, f, quantity(p, 1), quantity(p, 3))
	case readWriteRegisters:
		s.write(c, unit, f, quantity(p, 5), quantity(p, 7))
	case writeFileRecord:
		s.write(c, unit, f, -1, 0)
	case diagnostics:
		s.diagnose(c, unit, p[2])
	case umas:
		s.umas(c, unit, p[2])
	}
}

// match finds the request that a response is to.
func (s *stream) match(transaction int, unit, function uint8) *request {
	for i := range s.waiting {
		r := &s.requests[(s.next-1-i+2*maxWaiting)%maxWaiting]
		if !r.done && r.transaction == transaction && r.unit == unit && r.function == function {
			r.done = true
			return r
		}
	}
	return nil
}

func (s *stream) response(c *dissector.Context, transaction int, unit uint8, p []byte) {
	f := p[0] & 0x7f
	s.answered++
	if s.match(transaction, unit, f) == nil {
		s.unmatched++ // its request was not captured: it was asked for all the same
		s.functions[f]++
		s.units[unit>>6] |= 1 << (unit & 63)
	}
	switch {
	case p[0]&exceptionBit != 0:
		s.excepted++
		if len(p) > 1 {
			s.exception(c, unit, f, p[1])
		}
	case f == reportServerID && len(p) > 2 && len(p) == 2+int(p[1]):
		s.serverID(c, unit, p[2:])
	case f == encapsulated && len(p) >= 7 && p[1] == deviceIdentification:
		s.identification(c, unit, p)
	}
}

// fact begins a fact about who speaks.
func (s *stream) fact(c *dissector.Context, kind, role string) dissector.Fact {
	f := dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", role)
	return f
}

// write tells of a write when it is the first of its function, or goes where none
// of the connection's went before.
func (s *stream) write(c *dissector.Context, unit, function uint8, address, n int) {
	news := s.told.functions[function>>6]&(1<<(function&63)) == 0
	s.told.functions[function>>6] |= 1 << (function & 63)
	if address >= 0 {
		registers := function != writeCoil && function != writeCoils
		news = s.spread(unit, registers, address, address+max(n, 1)-1) || news
	}
	if !news {
		return
	}
	if s.told.writes++; s.told.writes > maxTold {
		c.Count("modbus_writes_skipped")
		return
	}
	f := s.fact(c, "write", "client")
	f.Attributes.Set("unit", strconv.Itoa(int(unit)))
	f.Attributes.Set("function", functions[function])
	if address >= 0 {
		f.Attributes.Set("register", strconv.Itoa(address))
		f.Attributes.Set("quantity", strconv.Itoa(n))
	}
	c.Emit(&f)
}

// spread puts a write down, and reports whether any of it is where none was.
func (s *stream) spread(unit uint8, registers bool, from, to int) bool {
	for i := range s.ranges {
		r := &s.ranges[i]
		if r.unit != unit || r.registers != registers || from > r.to+1 || to < r.from-1 {
			continue
		}
		news := from < r.from || to > r.to
		r.from, r.to = min(r.from, from), max(r.to, to)
		r.count++
		return news
	}
	if len(s.ranges) == maxRanges {
		s.more = true
		return true
	}
	s.ranges = append(s.ranges, span{unit: unit, registers: registers, from: from, to: to, count: 1})
	return true
}

// The subfunctions of function 8 (V1.1b3, 6.8).
var subfunctions = [...]string{
	"return_query_data", "restart_communications", "return_diagnostic_register", "change_ascii_input_delimiter", "force_listen_only_mode",
	"5", "6", "7", "8", "9", "clear_counters", "return_bus_message_count", "return_bus_communication_error_count",
	"return_bus_exception_error_count", "return_server_message_count", "return_server_no_response_count", "return_server_nak_count",
	"return_server_busy_count", "return_bus_character_overrun_count", "19", "clear_overrun_counter",
}

// diagnose tells of a diagnostic once a connection, and each time of those that
// take a device off its line.
func (s *stream) diagnose(c *dissector.Context, unit, sub uint8) {
	bit := uint32(1) << (sub & 31)
	harm := sub == 1 || sub == 4
	if s.told.diagnostics&bit != 0 && !harm {
		return
	}
	s.told.diagnostics |= bit
	s.control(c, "diagnostics", unit, subfunctions[min(int(sub), len(subfunctions)-1)])
}

// The operations of UMAS that change a controller.
var umasOperations = map[uint8]string{
	0x10: "take_reservation", 0x23: "write_variables", 0x25: "write_coils_registers", 0x30: "upload", 0x33: "download",
	0x40: "start", 0x41: "stop", 0x71: "write_io_object",
}

func (s *stream) umas(c *dissector.Context, unit, operation uint8) {
	c.Sink.Inner("umas")
	name := umasOperations[operation]
	if name == "" || s.told.diagnostics&(1<<31) != 0 && (operation == 0x23 || operation == 0x25) {
		return
	}
	if operation == 0x23 || operation == 0x25 {
		s.told.diagnostics |= 1 << 31
	}
	s.control(c, "umas", unit, name)
}

func (s *stream) control(c *dissector.Context, kind string, unit uint8, operation string) {
	if s.told.control++; s.told.control > maxTold {
		c.Count("modbus_control_skipped")
		return
	}
	f := s.fact(c, kind, "client")
	f.Attributes.Set("unit", strconv.Itoa(int(unit)))
	f.Attributes.Set("operation", operation)
	c.Emit(&f)
}

// exception counts an exception, and tells of it when it is the first.
func (s *stream) exception(c *dissector.Context, unit, function, code uint8) {
	for i := range s.exceptions {
		x := &s.exceptions[i]
		if x.unit == unit && x.function == function && x.code == code {
			x.count++
			return
		}
	}
	if len(s.exceptions) == maxExceptions {
		c.Count("modbus_exceptions_skipped")
		return
	}
	s.exceptions = append(s.exceptions, exception{unit, function, code, 1})
	f := s.fact(c, "exception", "server")
	f.Attributes.Set("unit", strconv.Itoa(int(unit)))
	f.Attributes.Set("function", functionName(function))
	f.Attributes.Set("exception", exceptionName(code))
	c.Emit(&f)
}

func functionName(f uint8) string {
	if s := functions[f&0x7f]; s != "" {
		return s
	}
	return strconv.Itoa(int(f))
}

func exceptionName(code uint8) string {
	if int(code) < len(exceptions) {
		return exceptions[code]
	}
	return strconv.Itoa(int(code))
}
