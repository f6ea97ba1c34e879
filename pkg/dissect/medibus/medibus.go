package medibus

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
)

// Protocol is MEDIBUS.
var Protocol = dissector.Protocol{
	Name: "medibus", Recognise: recognise,
	NewStream: func() dissector.Stream { return &stream{device: dissector.Other} },
}

const (
	esc = 0x1b
	soh = 0x01
	cr  = 0x0d

	maxFrame = 512
	maxKept  = 96 // bytes of a frame that are kept, for those that are read

	identify = 0x52
)

// commands are the codes and their names, those that both generations have.
var commands = map[byte]string{
	0x24: "measured_data",
	0x25: "low_limits",
	0x26: "high_limits",
	0x27: "alarms",
	0x28: "date_time",
	0x29: "settings",
	0x2a: "text_messages",
	0x2b: "measured_data_2",
	0x2c: "low_limits_2",
	0x2d: "high_limits_2",
	0x2e: "alarms_2",
	0x30: "no_operation",
	0x40: "trend_status",
	0x4a: "configure_response",
	0x51: "initialise",
	0x52: "device_id",
	0x53: "realtime_configuration",
	0x54: "realtime",
	0x55: "stop",
	0x56: "realtime_2",
}

// recognise wants a whole first frame: begin, a code, and at its end two hexadecimal
// digits that are the sum of all before them.
func recognise(b []byte, midstream bool) dissector.Verdict {
	if midstream {
		i := bytes.IndexFunc(b, func(r rune) bool { return r == esc || r == soh })
		if i < 0 {
			return dissector.No
		}
		b = b[i:]
	}
	if b[0] != esc && b[0] != soh {
		return dissector.No
	}
	if len(b) < 2 {
		return dissector.More
	}
	if commands[b[1]] == "" {
		return dissector.No
	}
	end := bytes.IndexByte(b[:min(len(b), maxFrame)], cr)
	switch {
	case end < 0 && len(b) < maxFrame:
		return dissector.More
	case end < 4:
		return dissector.No
	}
	frame := plain(b[:end])
	if len(frame) < 4 || checksum(frame[:len(frame)-2]) != string(frame[len(frame)-2:]) {
		return dissector.No
	}
	return dissector.Yes
}

// plain leaves the realtime bytes out.
func plain(b []byte) []byte {
	return slices.DeleteFunc(slices.Clone(b), func(x byte) bool { return x >= 0x80 })
}

func checksum(b []byte) string {
	sum := byte(0)
	for _, x := range b {
		sum += x
	}
	return strings.ToUpper(strconv.FormatUint(uint64(sum)|0x100, 16)[1:])
}

// stream is one connection.
type stream struct {
	half   [2]half
	device dissector.Side // who answers; Other while that is not known
	told   string
	ended  [2]bool
}

// half is one direction.
type half struct {
	frame  []byte // in hand, its beginning
	n      int    // bytes of it
	sum    byte   // of all but the last two
	last   [2]byte
	counts map[byte]int
	wrong  int
	stream bool // realtime data came
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	for _, x := range b {
		switch {
		case x >= 0x80:
			h.stream = true
		case x == esc, x == soh:
			h.begin(x)
		case h.n == 0:
		case x == cr:
			s.end(c, h)
		case h.n == maxFrame:
			c.Count("medibus_frame_long")
			h.reset()
		default:
			h.add(x)
		}
	}
}

func (h *half) reset() {
	clear(h.frame)
	h.frame, h.n, h.sum, h.last = h.frame[:0], 0, 0, [2]byte{}
}

func (h *half) begin(x byte) {
	h.reset()
	h.add(x)
}

// add takes a byte of a frame; the sum lags two bytes behind, as the checksum ends
// the frame.
func (h *half) add(x byte) {
	if h.n >= 2 {
		h.sum += h.last[0]
	}
	h.last = [2]byte{h.last[1], x}
	h.n++
	// Only who a device is is read; of all else the code is enough.
	if len(h.frame) < 2 || len(h.frame) < maxKept && h.frame[0] == soh && h.frame[1] == identify {
		h.frame = append(h.frame, x)
	}
}

// end acts on a whole frame.
func (s *stream) end(c *dissector.Context, h *half) {
	defer h.reset()
	if h.n < 4 {
		return
	}
	if checksum([]byte{h.sum}) != string(h.last[:]) {
		h.wrong++
		c.Count("medibus_checksum_wrong")
		return
	}
	code := h.frame[1]
	if commands[code] == "" {
		code = 0
	}
	if h.counts == nil {
		h.counts = map[byte]int{}
	}
	h.counts[code]++
	if h.frame[0] == esc {
		return
	}
	s.device = c.Side
	if code == identify && h.n <= maxKept {
		s.identified(c, h.frame[2:h.n-2])
	}
}

// identified reads id number, name in quotes, and revisions: 8160'Evita XL'07.02:04.03.
func (s *stream) identified(c *dissector.Context, b []byte) {
	id, rest, ok := bytes.Cut(b, []byte("'"))
	name, revision, closed := bytes.Cut(rest, []byte("'"))
	if !ok || !closed || len(id) > 8 || len(name) > 32 {
		return // asked only, or of another form
	}
	f := dissector.Fact{Kind: "device_id", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "device")
	a.Set("model", dissector.Text(name, 32))
	if s := string(id); strings.Trim(s, "0123456789ABCDEFabcdef") == "" {
		a.Set("device_code", s)
	}
	software, protocol, _ := strings.Cut(dissector.Text(revision, 16), ":")
	if strings.Trim(software+protocol, "0123456789.") == "" {
		a.Set("software_version", software)
		a.Set("protocol_version", protocol)
	}
	if text := string(b); text != s.told {
		s.told = text
		c.Emit(&f)
	}
}

// Gap loses the frame in hand.
func (s *stream) Gap(c *dissector.Context, _ int64) { s.half[c.Side&1].reset() }

// End sums the connection up when both directions are over.
func (s *stream) End(c *dissector.Context) {
	s.half[c.Side&1].reset()
	s.ended[c.Side&1] = true
	if !s.ended[1-c.Side&1] || s.device == dissector.Other || c.Headers.TCPFlags&(packet.FIN|packet.RST) == 0 {
		return // of a connection that nobody heard of any more it cannot be said what it came to
	}
	f := dissector.Fact{Kind: "session", Subject: dissector.Subject{Side: s.device}}
	a := &f.Attributes
	a.Set("role", "device")
	var list []string
	for code, n := range s.half[s.device].counts {
		if name := commands[code]; name != "" {
			list = append(list, name+":"+strconv.Itoa(n))
		}
	}
	slices.Sort(list)
	a.SetList("answers", list)
	if s.half[s.device].stream {
		a.Set("realtime", "true")
	}
	c.Emit(&f)
}

// Size is the bytes that are kept.
func (s *stream) Size() int { return 1024 + cap(s.half[0].frame) + cap(s.half[1].frame) }
