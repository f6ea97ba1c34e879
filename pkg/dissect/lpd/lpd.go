// Package lpd dissects the Line Printer Daemon protocol (RFC 1179): that somebody prints,
// and from which host.
//
// Names of queues, jobs, users and files, and what is printed, never leave.
package lpd

import (
	"bytes"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is LPD.
var Protocol = dissector.Protocol{
	Name: "lpd", Ports: []uint16{515},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	receiveJob   = 2 // command, and sub-command: control file
	dataFile     = 3
	maxQueue     = 64
	maxLine      = 160
	maxHost      = 64
	maxDirection = 4 << 10 // bytes in which the names have come
)

// recognise wants the command to receive a job, and behind it, when the server has
// agreed, the announcement of a file: the first line alone is too little.
//
//	02 queue LF | 02 size SP "cfA" number host LF, or 03 size SP "dfA" number host LF
func recognise(b []byte, midstream bool) dissector.Verdict {
	if midstream {
		return file(b)
	}
	if len(b) == 0 {
		return dissector.More
	}
	if b[0] != receiveJob {
		return dissector.No
	}
	queue, rest, ok := bytes.Cut(b[1:], []byte("\n"))
	if len(queue) > maxQueue || !word(queue) {
		return dissector.No
	}
	if !ok {
		return dissector.More
	}
	if len(queue) == 0 {
		return dissector.No
	}
	return file(rest)
}

// file judges the announcement of a file.
func file(b []byte) dissector.Verdict {
	if len(b) == 0 {
		return dissector.More
	}
	if b[0] != receiveJob && b[0] != dataFile {
		return dissector.No
	}
	line, _, ok := bytes.Cut(b[1:], []byte("\n"))
	if !ok {
		if len(line) > maxLine || len(line) > 0 && (line[0] < '0' || line[0] > '9') {
			return dissector.No
		}
		return dissector.More
	}
	if _, ok := host(b[0], line); !ok {
		return dissector.No
	}
	return dissector.Yes
}

// word holds for printable characters without spaces.
func word(b []byte) bool {
	for _, x := range b {
		if x <= ' ' || x > '~' {
			return false
		}
	}
	return true
}

// host is the name of the printing host in "123 cfA001ws7" (RFC 1179 6.2, 6.3).
func host(kind byte, line []byte) (string, bool) {
	size, name, ok := bytes.Cut(bytes.TrimRight(line, "\r"), []byte(" "))
	if _, err := strconv.ParseUint(string(size), 10, 40); err != nil || !ok || len(name) < 6 || len(name) > maxLine {
		return "", false
	}
	if want := map[byte]byte{receiveJob: 'c', dataFile: 'd'}[kind]; name[0] != want || name[1] != 'f' {
		return "", false
	}
	for _, x := range name[3:6] {
		if x < '0' || x > '9' {
			return "", false
		}
	}
	return banner.Host(name[6:], true), true
}

// stream is one connection.
type stream struct {
	buf  []byte // of the client
	told bool
}

// Data looks for the name of the host in the client's first lines.
func (s *stream) Data(c *dissector.Context, b []byte) {
	if c.Side != dissector.Src || s.told {
		return
	}
	n := min(len(b), maxDirection-len(s.buf))
	s.buf = append(s.buf, b[:n]...)
	rest := s.buf
	for {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		if !ok {
			break
		}
		rest = after
		if len(line) > 1 && (line[0] == receiveJob || line[0] == dataFile) {
			if name, ok := host(line[0], line[1:]); ok {
				s.tell(c, name)
				return
			}
		}
	}
	if len(s.buf) == maxDirection {
		s.tell(c, "")
	}
}

func (s *stream) tell(c *dissector.Context, host string) {
	s.told, s.buf = true, nil
	f := dissector.Fact{Kind: "job", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "client")
	if len(host) <= maxHost {
		f.Attributes.Set("hostname", host)
	}
	c.Emit(&f)
	c.Sink.Done()
}

// Gap loses what was kept.
func (s *stream) Gap(*dissector.Context, int64) { s.buf = nil }

// End drops what was kept.
func (s *stream) End(*dissector.Context) { s.buf = nil }

// Size is about the bytes that are kept.
func (s *stream) Size() int { return 64 + cap(s.buf) }
