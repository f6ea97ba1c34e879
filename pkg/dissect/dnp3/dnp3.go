package dnp3

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// The functions (clause 4.2.2.5).
const (
	funcWrite      = 2
	funcSelect     = 3
	funcOperate    = 4
	funcDirect     = 5
	funcDirectMute = 6
	funcResponse   = 129
	funcUnasked    = 130
)

var functions = [...]string{
	"confirm", "read", "write", "select", "operate", "direct_operate", "direct_operate_no_ack", "immediate_freeze", "immediate_freeze_no_ack",
	"freeze_clear", "freeze_clear_no_ack", "freeze_at_time", "freeze_at_time_no_ack", "cold_restart", "warm_restart", "initialize_data",
	"initialize_application", "start_application", "stop_application", "save_configuration", "enable_unsolicited", "disable_unsolicited",
	"assign_class", "delay_measure", "record_current_time", "open_file", "close_file", "delete_file", "get_file_info", "authenticate_file",
	"abort_file", "activate_configuration", "authenticate_request", "authenticate_error",
}

func functionName(f byte) string {
	switch {
	case int(f) < len(functions):
		return functions[f]
	case f == funcResponse:
		return "response"
	case f == funcUnasked:
		return "unsolicited_response"
	case f == 131:
		return "authenticate_response"
	}
	return strconv.Itoa(int(f))
}

// tells are the functions that are told of: true each time, false once.
var tells = map[byte]bool{
	funcWrite: false, funcSelect: false, funcOperate: true, funcDirect: true, funcDirectMute: true, 9: false, 10: false, 13: true, 14: true, 15: true, 16: true, 17: true, 18: true,
	19: true, 20: false, 21: false, 22: false, 24: false, 25: false, 27: true, 31: true,
}

// The bounds of one connection.
const (
	maxControls = 64
)

// stream is one connection.
type stream struct {
	framing.Both
	once      dissector.Once
	controls  int
	functions dissector.Tally
	client    dissector.Side
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	s.Half(c).Each(c, &format, b, func(m []byte) bool {
		s.frame(c, m)
		return false
	})
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
	return 256 + s.Both.Size() + s.once.Size() + s.functions.Size()
}

// frame takes one frame: of what goes through several, the first.
//
//	user data: 0 transport: final, first, number   1 control   2 function   3 indications (2), of responses   ... objects
func (s *stream) frame(c *dissector.Context, b []byte) {
	var f frame
	f.read(b)
	if len(f.user) == 0 {
		return // of the link layer alone
	}
	if len(f.user) < 3 || f.user[0]&0x40 == 0 {
		if f.user[0]&0x40 != 0 {
			c.Count("dnp3_malformed")
		}
		return
	}
	function, objects := f.user[2], f.user[3:]
	if function >= funcResponse {
		s.response(c, &f, objects)
		return
	}
	s.count(c, function)
	always, tell := tells[function]
	if !tell || !always && !s.once.First(functions[function]+strconv.Itoa(int(f.destination))) {
		return
	}
	if s.controls++; s.controls > maxControls {
		c.Count("dnp3_control_skipped")
		return
	}
	kind := "control"
	if function == funcWrite {
		kind = "write"
	}
	x := s.fact(c, kind, "client", f.destination)
	x.Attributes.Set("function", functionName(function))
	c.Emit(&x)
}

// fact begins a fact about who speaks, to or as a station.
func (s *stream) fact(c *dissector.Context, kind, role string, station uint16) dissector.Fact {
	f := c.Fact(kind, role)
	f.Attributes.Set("station", strconv.Itoa(int(station)))
	return f
}

// indications are the bits of a response that tell of a station's condition
// (4.2.2.6): restarted, trouble, configuration corrupt, functions refused.
var indications = []struct {
	bit  uint16
	name string
}{
	{1 << 7, "device_restart"},
	{1 << 6, "device_trouble"},
	{1 << 5, "local_control"},
	{1 << 4, "need_time"},
	{1 << 8, "no_function_code_support"},
	{1 << 9, "object_unknown"},
	{1 << 10, "parameter_error"},
	{1 << 11, "event_buffer_overflow"},
	{1 << 13, "config_corrupt"},
}

func (s *stream) response(c *dissector.Context, f *frame, b []byte) {
	if len(b) < 2 {
		c.Count("dnp3_malformed")
		return
	}
	bits := binary.LittleEndian.Uint16(b)
	var list []string
	for _, x := range indications {
		if bits&x.bit != 0 {
			list = append(list, x.name)
		}
	}
	if s.once.First("station " + strconv.Itoa(int(f.source)) + " " + strings.Join(list, " ")) {
		x := s.fact(c, "station", "server", f.source)
		x.Attributes.SetList("indications", list)
		c.Emit(&x)
	}
	s.attributes(c, f, b[2:])
}

// attributeNames are the device attributes, group 0 (11.1), that are told.
var attributeNames = map[byte]string{
	242: "software_version", 243: "hardware_version", 245: "location", 246: "device_uid", 247: "device_name", 248: "serial", 250: "product", 252: "manufacturer",
}

// attributes reads device attributes from the objects of a response:
//
//	0 group 0   1 variation   2 qualifier 0   3 first, 4 last   5 type of value   6 its length   7 value
func (s *stream) attributes(c *dissector.Context, f *frame, b []byte) {
	x := s.fact(c, "identity", "server", f.source)
	n := len(x.Attributes)
	for len(b) >= 7 && b[0] == 0 && b[2] == 0 && len(b) >= 7+int(b[6]) {
		if name := attributeNames[b[1]]; name != "" && b[5] == 1 {
			x.Attributes.Set(name, dissector.Text(b[7:7+int(b[6])], 64))
		}
		b = b[7+int(b[6]):]
	}
	if len(x.Attributes) == n {
		return
	}
	key := "identity"
	for _, a := range x.Attributes {
		key += " " + a.Value
	}
	if s.once.First(key) {
		c.Emit(&x)
	}
}

// count counts a function that is asked for; each hour they are told.
func (s *stream) count(c *dissector.Context, function byte) {
	if s.functions.Due(c) {
		s.summary(c)
	}
	s.functions.Count(functionName(function))
	s.client = c.Side
}

func (s *stream) summary(c *dissector.Context) { s.functions.Transactions(c, s.client, "functions") }
