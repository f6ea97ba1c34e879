// Package syslog dissects syslog (RFC 3164, 5424, 5425 framing, 6587) over UDP and TCP:
// who reports, under which name, with which programs and how severe.
//
// The text of a message, its structured data and its ids never leave.
package syslog

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is syslog.
var Protocol = dissector.Protocol{
	Name: "syslog", Ports: []uint16{514, 601},
	Datagram: datagram, Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	maxPriority = 191
	maxPrograms = 16
	maxHead     = 256 // bytes of a message that are looked at
	maxLine     = 64 << 10
)

var severities = [8]string{"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"}

// head is what is read of a message.
type head struct {
	severity  byte
	facility  byte
	version   string
	timestamp bool
	host      string
	program   string
}

// priority reads "<0>" to "<191>" (RFC 5424 6.2.1); n is its length, 0 where it is none,
// -1 where b ends before it does.
func priority(b []byte) (p, n int) {
	if len(b) == 0 {
		return 0, -1
	}
	if b[0] != '<' {
		return 0, 0
	}
	for i := 1; i < 5; i++ {
		switch {
		case i == len(b):
			return 0, -1
		case b[i] == '>' && i > 1 && p <= maxPriority:
			return p, i + 1
		case b[i] < '0' || b[i] > '9' || i == 4 || i == 2 && b[1] == '0':
			return 0, 0
		}
		p = p*10 + int(b[i]-'0')
	}
	return 0, 0
}

// read reads a message's head. Of the old form (RFC 3164) time and host may be missing.
func read(b []byte) (h head, ok bool) {
	b = b[:min(len(b), maxHead)]
	p, n := priority(b)
	if n <= 0 {
		return h, false
	}
	h.facility, h.severity = byte(p>>3), byte(p&7)
	b = b[n:]
	if rest, found := bytes.CutPrefix(b, []byte("1 ")); found {
		h.version, h.timestamp = "5424", true
		words := bytes.SplitN(rest, []byte(" "), 5)
		if len(words) >= 3 {
			h.host, h.program = hostName(words[1]), programName(words[2])
		}
		return h, true
	}
	h.version = "3164"
	if n := bsdTime(b); n > 0 {
		h.timestamp = true
		word, rest, _ := bytes.Cut(b[n:], []byte(" "))
		if !bytes.HasSuffix(word, []byte(":")) {
			h.host, b = hostName(word), rest
		} else {
			b = b[n:]
		}
	}
	word, _, found := bytes.Cut(b, []byte(" "))
	if i := bytes.IndexAny(word, "[:"); i > 0 && found {
		h.program = programName(word[:i])
	}
	return h, true
}

// bsdTime gives the length of "Jan  2 15:04:05 " at the start of b, 0 for none.
func bsdTime(b []byte) int {
	const form = "Aaa 00 00:00:00 "
	if len(b) < len(form) || !slices.Contains(months, string(b[:3])) {
		return 0
	}
	for i := 3; i < len(form); i++ {
		digit := b[i] >= '0' && b[i] <= '9'
		switch {
		case i == 4 && b[i] == ' ':
		case form[i] == '0' && !digit, form[i] != '0' && b[i] != form[i]:
			return 0
		}
	}
	return len(form)
}

var months = []string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}

// hostName is a word that can be a host's name or address.
func hostName(b []byte) string {
	if len(b) == 0 || len(b) > 253 || string(b) == "-" {
		return ""
	}
	for _, x := range b {
		if (x < '0' || x > '9') && (x|0x20 < 'a' || x|0x20 > 'z') && x != '.' && x != '-' && x != '_' && x != ':' {
			return ""
		}
	}
	return string(b)
}

// programName is a word of letters, digits and a few signs, as programs have.
func programName(b []byte) string {
	if len(b) > 48 || len(b) == 0 || b[0] == '-' {
		return ""
	}
	for _, x := range b {
		if (x < '0' || x > '9') && (x|0x20 < 'a' || x|0x20 > 'z') && x != '.' && x != '-' && x != '_' && x != '/' && x != '%' {
			return ""
		}
	}
	return string(b)
}

// sender is what was said on a flow by one side.
type sender struct {
	severities [8]uint64
	said       []string
	more       bool
}

func (s *sender) message(c *dissector.Context, h *head) {
	s.severities[h.severity]++
	key := h.version + " " + h.host + " " + h.program
	if slices.Contains(s.said, key) || s.more {
		return
	}
	if len(s.said) == maxPrograms {
		s.more = true
		c.Count("syslog_values_skipped")
		return
	}
	s.said = append(s.said, key)
	f := dissector.Fact{Subject: dissector.Subject{Side: c.Side}, Kind: "message"}
	a := &f.Attributes
	a.Set("role", "client")
	a.Set("format", "rfc"+h.version)
	a.Set("facility", strconv.Itoa(int(h.facility)))
	a.Set("severity", severities[h.severity])
	a.Set("hostname", h.host)
	a.Set("program", h.program)
	c.Emit(&f)
}

// sum tells how many messages of each severity there were.
func (s *sender) sum(c *dissector.Context, side dissector.Side) {
	var list []string
	for i, n := range s.severities {
		if n > 0 {
			list = append(list, severities[i]+":"+strconv.FormatUint(n, 10))
		}
	}
	if len(list) == 0 {
		return
	}
	f := dissector.Fact{Subject: dissector.Subject{Side: side}, Kind: "messages", Attributes: proto.Attributes{}}
	f.Attributes.SetList("severities", list)
	*s = sender{}
	c.Emit(&f)
}

// state is of a flow of datagrams.
type state struct{ sides [2]sender }

// End tells the sums.
func (s *state) End(c *dissector.Context) {
	for i := range s.sides {
		s.sides[i].sum(c, dissector.Side(i))
	}
}

// Size is about what is kept.
func (s *state) Size() int { return 300 + 48*(len(s.sides[0].said)+len(s.sides[1].said)) }

// datagram knows a message by its priority and, off the well-known port, by what must
// follow it: a version or a time.
func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	h, ok := read(b)
	if !ok || !known && !h.timestamp && c.Headers.DstPort != 514 && c.Headers.SrcPort != 514 {
		return dissector.No
	}
	s, _ := c.State.(*state)
	if s == nil {
		s = new(state)
		c.State = s
	}
	s.sides[c.Side&1].message(c, &h)
	return dissector.Yes
}

// recognise wants a priority with a version or a time behind it, after a length in digits
// where octets are counted (RFC 6587 3.4.1).
func recognise(b []byte, _ bool) dissector.Verdict {
	i := 0
	for i < len(b) && i < 6 && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i > 0 {
		switch {
		case i == len(b):
			return dissector.More
		case b[0] == '0' || b[i] != ' ':
			return dissector.No
		}
		i++
	}
	_, n := priority(b[i:])
	switch {
	case n == 0:
		return dissector.No
	case n < 0 || len(b) < i+n+16:
		return dissector.More
	}
	h, ok := read(b[i:])
	if !ok || !h.timestamp {
		return dissector.No
	}
	return dissector.Yes
}

// stream reads messages by length or by line.
type stream struct {
	state
	half [2]half
}

type half struct {
	buf  []byte // the first bytes of the message in hand
	n    int    // its bytes so far
	want int    // its length, where octets are counted
	lost bool
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	for len(b) > 0 {
		if h.lost { // until a line ends
			i := bytes.IndexByte(b, '\n')
			if i < 0 {
				return
			}
			*h, b = half{}, b[i+1:]
			continue
		}
		b = s.step(c, h, b)
	}
}

// step takes bytes of one message.
func (s *stream) step(c *dissector.Context, h *half, b []byte) []byte {
	if h.want == 0 && h.n < 7 && (h.n == 0 || h.buf[0] >= '0' && h.buf[0] <= '9') { // where octets are counted, the length first
		if rest, done := h.length(b); !done {
			return rest
		} else if h.want > 0 {
			return rest
		}
	}
	part, end := b, false
	if h.want > 0 {
		if k := h.want - h.n; k <= len(b) {
			part, end = b[:k], true
		}
	} else if i := bytes.IndexByte(b, '\n'); i >= 0 {
		part, end = b[:i+1], true
	}
	h.buf = append(h.buf, part[:min(len(part), maxHead-len(h.buf))]...)
	h.n += len(part)
	if end || h.n > maxLine {
		if m, ok := read(bytes.TrimRight(h.buf, "\r\n")); ok {
			s.sides[c.Side&1].message(c, &m)
		} else if len(bytes.TrimSpace(h.buf)) > 0 {
			c.Count("syslog_malformed")
		}
		lost := !end
		*h = half{buf: h.buf[:0], lost: lost}
	}
	return b[len(part):]
}

// length reads digits and a space; done is false where b ends before they do.
func (h *half) length(b []byte) (rest []byte, done bool) {
	for i, x := range b {
		switch {
		case x >= '0' && x <= '9' && len(h.buf) < 6:
			h.buf = append(h.buf, x)
			h.n++
			continue
		case x == ' ' && len(h.buf) > 0:
			n, err := strconv.Atoi(string(h.buf))
			h.buf, h.n = h.buf[:0], 0
			if err != nil || n < 3 || n > maxLine {
				h.lost = true
				return b[i+1:], false
			}
			h.want = n
			return b[i+1:], true
		}
		return b[i:], true
	}
	return nil, false
}

// Gap loses the message in hand.
func (s *stream) Gap(c *dissector.Context, n int64) {
	h := &s.half[c.Side&1]
	if h.want > 0 && n > 0 && int64(h.want-h.n) > n && len(h.buf) >= maxHead {
		h.n += int(n) // of its text
		return
	}
	*h = half{lost: n > 0 || len(h.buf) > 0}
}

// End tells the sums of the direction.
func (s *stream) End(c *dissector.Context) { s.sides[c.Side&1].sum(c, c.Side) }

// Size is about what is kept.
func (s *stream) Size() int { return s.state.Size() + cap(s.half[0].buf) + cap(s.half[1].buf) }
