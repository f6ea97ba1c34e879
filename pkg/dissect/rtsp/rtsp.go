// Package rtsp dissects RTSP (RFC 2326, RFC 7826), with which cameras and media servers
// are controlled: what both sides call themselves, how they authenticate, what is done
// how often, and where the media will flow.
//
// Here live the heads of messages; bodies and media between them are stepped over.
// Addresses of streams, names and passwords never leave. The ports that both sides agree
// on are announced to the engine as rtp and rtcp.
package rtsp

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/lines"
)

// Protocol is RTSP over TCP.
var Protocol = dissector.Protocol{
	Name: "rtsp", Ports: []uint16{554, 8554},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// methods of RFC 2326 10 and RFC 7826 13.
var methods = []string{"OPTIONS", "DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER", "REDIRECT", "RECORD", "PLAY_NOTIFY"}

const (
	maxTarget = 900 // bytes of a first line
	maxValue  = 128
	maxFacts  = 16
	maxHead   = 128     // lines
	maxBytes  = 8 << 20 // of media and bodies that are stepped over in a direction
)

// recognise wants the line of a request, "SETUP rtsp://a/b RTSP/1.0", or of a response.
func recognise(b []byte, _ bool) dissector.Verdict {
	b = bytes.TrimLeft(b, "\r\n")
	if len(b) == 0 {
		return dissector.More
	}
	if n := min(len(b), 5); string(b[:n]) == "RTSP/"[:n] {
		if len(b) < len("RTSP/1.0 200") {
			return dissector.More
		}
		if _, ok := status(b); ok {
			return dissector.Yes
		}
		return dissector.No
	}
	for _, m := range methods {
		n := min(len(b), len(m)+1)
		if string(b[:n]) != (m + " ")[:n] {
			continue
		}
		line, _, whole := bytes.Cut(b, []byte("\n"))
		line = bytes.TrimRight(line, "\r ")
		switch {
		case whole && version(line):
			return dissector.Yes
		case whole, len(line) > maxTarget, !printable(line):
			return dissector.No
		}
		return dissector.More
	}
	return dissector.No
}

// version holds for a line that ends in " RTSP/1.0".
func version(line []byte) bool {
	i := bytes.LastIndexByte(line, ' ')
	return i > 0 && bytes.HasPrefix(line[i+1:], []byte("RTSP/")) && len(line)-i == len(" RTSP/1.0")
}

// status reads "RTSP/1.0 200".
func status(b []byte) (int, bool) {
	if len(b) < 12 || string(b[:5]) != "RTSP/" || b[6] != '.' || b[8] != ' ' {
		return 0, false
	}
	n, err := strconv.Atoi(string(b[9:12]))
	return n, err == nil && n >= 100 && n < 600
}

func printable(b []byte) bool {
	for _, x := range b {
		if x < ' ' && x != '\t' || x == 0x7f {
			return false
		}
	}
	return true
}

// head is the head in hand.
type head struct {
	open      bool
	method    string // of a request
	status    int    // of a response
	lines     int
	agent     string
	server    string
	auth      string
	account   string
	realm     string
	length    int64
	transport string
}

// stream is one connection.
type stream struct {
	half   [2]half
	client dissector.Side
	counts [16]int
	told   []string
	ended  [2]bool
	summed bool
}

type half struct {
	lines lines.Reader
	head  head
	frame []byte // the beginning of a frame of media: $, channel, length (2)
	bytes int64  // that were stepped over
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	for b = h.lines.Pass(b); len(b) > 0; b = h.lines.Pass(b) {
		if h.frame != nil || b[0] == '$' && h.lines.Fresh() && !h.head.open {
			b = s.media(c, h, b)
		} else {
			line, rest, ok := h.lines.Next(b)
			b = rest
			if ok && (!line.Unsure || begins(line.Text)) {
				s.line(c, h, line.Text, line.Long)
			}
		}
		if h.bytes > maxBytes {
			s.sum(c, true)
			c.Sink.Done()
			return
		}
	}
}

// begins holds for the first line of a message.
func begins(line []byte) bool {
	if _, ok := status(line); ok {
		return true
	}
	word, _, _ := bytes.Cut(line, []byte(" "))
	return slices.Contains(methods, string(word)) && version(line)
}

// media steps over a frame of media between messages (RFC 2326 10.12).
func (s *stream) media(c *dissector.Context, h *half, b []byte) []byte {
	const size = 4
	n := min(size-len(h.frame), len(b))
	h.frame = append(h.frame, b[:n]...)
	if len(h.frame) < size {
		return b[n:]
	}
	length := int64(h.frame[2])<<8 | int64(h.frame[3])
	c.Sink.Inner(map[byte]string{0: "rtp", 1: "rtcp"}[h.frame[1]&1])
	h.frame = nil
	h.bytes += length
	h.lines.Skip(length)
	return b[n:]
}

// line takes a line of a head.
func (s *stream) line(c *dissector.Context, h *half, line []byte, long bool) {
	x := &h.head
	switch {
	case !x.open && len(line) == 0:
	case !x.open:
		*x = head{open: true}
		if code, ok := status(line); ok {
			x.status = code
			return
		}
		word, _, _ := bytes.Cut(line, []byte(" "))
		if i := slices.Index(methods, string(word)); i >= 0 && (version(line) || long) {
			x.method = methods[i]
			return
		}
		c.Count("rtsp_malformed")
		*x = head{}
	case len(line) == 0:
		x.open = false
		h.lines.Skip(x.length)
		h.bytes += x.length
		s.whole(c, x)
	case x.lines > maxHead:
		c.Count("rtsp_malformed")
		*x = head{}
	default:
		if x.lines++; !long {
			x.header(c, line)
		}
	}
}

// header reads a header.
func (x *head) header(c *dissector.Context, line []byte) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) > 24 {
		return
	}
	value = bytes.TrimSpace(value)
	program := func() string {
		if bytes.IndexByte(value, '@') >= 0 {
			c.Count("rtsp_agent_withheld")
			return ""
		}
		return dissector.Text(value, maxValue)
	}
	switch strings.ToLower(string(name)) {
	case "user-agent":
		x.agent = program()
	case "server":
		x.server = program()
	case "content-length":
		if n, err := strconv.ParseUint(string(value), 10, 24); err == nil {
			x.length = int64(n)
		}
	case "www-authenticate":
		scheme, rest, _ := bytes.Cut(value, []byte(" "))
		if x.auth != "basic" { // of two the one that shows a password
			x.auth = schemeName(scheme)
		}
		x.realm = dissector.Text(quoted(rest, "realm="), maxValue)
	case "authorization":
		scheme, rest, _ := bytes.Cut(value, []byte(" "))
		x.auth = schemeName(scheme)
		switch x.auth {
		case "basic":
			b := make([]byte, base64.StdEncoding.DecodedLen(len(rest)))
			n, err := base64.StdEncoding.Decode(b, rest)
			if err == nil {
				user, _, _ := bytes.Cut(b[:n], []byte(":"))
				x.account = dissector.Account(user)
			}
			clear(b)
		case "digest":
			x.account = dissector.Account(quoted(rest, "username="))
		}
	case "transport":
		x.transport = string(value[:min(len(value), 512)])
	}
}

func schemeName(b []byte) string {
	switch s := strings.ToLower(string(b[:min(len(b), 16)])); s {
	case "basic", "digest", "bearer":
		return s
	}
	return "other"
}

// quoted is the value of key="value".
func quoted(b []byte, key string) []byte {
	_, rest, ok := bytes.Cut(b, []byte(key+`"`))
	if !ok {
		return nil
	}
	v, _, _ := bytes.Cut(rest, []byte(`"`))
	return v
}
