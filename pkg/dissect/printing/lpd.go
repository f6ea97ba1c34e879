package printing

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// LPD is the line printer daemon's protocol.
var LPD = dissector.Protocol{
	Name: "lpd", Ports: []uint16{515}, AtHome: true,
	Recognise: func(b []byte, _ bool) dissector.Verdict { return lpd(b) },
	NewStream: func() dissector.Stream { return new(lpdStream) },
}

// commands are the codes of a first line (section 5).
var commands = [...]string{"", "print_waiting", "receive_job", "queue_state", "queue_state_long", "remove_jobs"}

// lpd knows a command's code, and the name of a queue until the end of the line.
func lpd(b []byte) dissector.Verdict {
	if len(b) > 0 && (b[0] == 0 || int(b[0]) >= len(commands)) {
		return dissector.No
	}
	if len(b) == 0 {
		return dissector.More
	}
	line, _, found := bytes.Cut(b[1:], []byte("\n"))
	for _, x := range line {
		if x < ' ' || x > '~' {
			return dissector.No
		}
	}
	switch {
	case len(line) > 128 || found && len(line) == 0:
		return dissector.No
	case !found:
		return dissector.More
	}
	return dissector.Yes
}

// lpdStream reads a client's first line, and of a job the line that announces its
// control file, the name of which ends with the client's own (6.2).
type lpdStream struct {
	buf   []byte
	lines int
}

// Data reads the next bytes of a direction.
func (s *lpdStream) Data(c *dissector.Context, b []byte) {
	if c.Side != dissector.Src {
		return
	}
	for _, x := range b {
		if x != '\n' {
			if s.buf = append(s.buf, x); len(s.buf) > maxLine {
				c.Sink.Done()
				return
			}
			continue
		}
		over := s.line(c, s.buf)
		s.buf = s.buf[:0]
		if over {
			c.Sink.Done()
			return
		}
	}
}

// Gap ends the reading.
func (s *lpdStream) Gap(c *dissector.Context, _ int64) { c.Sink.Done() }

// End has nothing to tell.
func (s *lpdStream) End(*dissector.Context) {}

// Size is the bytes that are kept.
func (s *lpdStream) Size() int { return 64 + cap(s.buf) }

// line takes a line; what follows the second one is a job's, or no line at all.
func (s *lpdStream) line(c *dissector.Context, b []byte) (over bool) {
	s.lines++
	if len(b) == 0 || int(b[0]) >= len(commands) {
		return true
	}
	f := dissector.Fact{Kind: "request", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "client")
	if s.lines == 1 {
		f.Attributes.Set("command", commands[b[0]])
		c.Emit(&f)
		return b[0] != 2
	}
	if b[0] == 2 { // "2 SIZE cfA123host"
		if _, name, ok := bytes.Cut(b[1:], []byte(" ")); ok && len(name) > 6 && bytes.HasPrefix(name, []byte("cfA")) && len(bytes.Trim(name[3:6], "0123456789")) == 0 {
			f.Kind = "job"
			f.Attributes.Set("computer_name", dissector.Text(name[6:], 64))
			c.Emit(&f)
		}
	}
	return true
}
