// Package jetdirect dissects raw printing, as it goes to port 9100: in which language
// somebody prints (PJL, PostScript, PCL, ZPL and others by how they begin), and what a
// printer answers to PJL's questions (HP, Printer Job Language Technical Reference).
//
// Of PJL what comes before the document is read, and of the printer's answers its model,
// its state and its count of pages. Names of jobs and users, what a display shows, and
// documents never leave.
package jetdirect

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/lines"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is raw printing.
var Protocol = dissector.Protocol{
	Name: "jetdirect", Ports: []uint16{9100},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// starts are how print data begin: the universal exit language, which PJL follows, and
// the beginnings of languages that nothing else has.
var starts = []struct{ text, language string }{
	{"\x1b%-12345X", "pjl"}, {"@PJL", "pjl"}, {"%!PS-Adobe-", "postscript"}, {"\x1bE\x1b&l", "pcl"}, {"\x1bE\x1b*", "pcl"}, {"\x1bE\x1b(", "pcl"}, {") HP-PCL XL;", "pclxl"}, {"^XA^", "zpl"}, {"^XA\r\n^", "zpl"}, {"^XA\n^", "zpl"},
}

const (
	exitLanguage = "\x1b%-12345X"
	maxServer    = 64 << 10
	maxClient    = 64 << 10
	maxStart     = 64
	maxText      = 64
	maxTold      = 12
)

func recognise(b []byte, midstream bool) dissector.Verdict {
	v := dissector.No
	for i, s := range starts {
		if midstream && i > 1 {
			break
		}
		n := min(len(b), len(s.text))
		if string(b[:n]) != s.text[:n] {
			continue
		}
		if n == len(s.text) {
			return dissector.Yes
		}
		v = dissector.More
	}
	return v
}

// stream is one connection.
type stream struct {
	half  [2]lines.Reader
	seen  [2]int
	start []byte // of the client, until it is known how it begins
	begun bool
	job   bool // the document has begun: nothing more is read of the client

	question string // that the printer's lines answer
	answer   proto.Attributes
	told     []string
}

// Data reads the next bytes of a direction: PJL's lines of the client, the printer's
// answers.
func (s *stream) Data(c *dissector.Context, b []byte) {
	side := c.Side & 1
	s.seen[side] += len(b)
	switch {
	case c.Side == dissector.Dst:
		if s.seen[side] <= maxServer {
			s.read(c, b, s.server)
		}
	case s.job:
	case s.begun:
		s.read(c, b, s.client)
	default:
		n := min(len(b), maxStart-len(s.start))
		s.start = append(s.start, b[:n]...)
		if s.begin(c) {
			first := s.start
			s.start = nil
			s.read(c, first, s.client)
			s.read(c, b[n:], s.client)
		}
	}
	if n := s.seen[dissector.Src]; s.job && (n > maxClient && len(s.told) > 1 || n > 16*maxClient) {
		c.Sink.Done()
	}
}

// begin finds out how the client begins, and reports whether that is with PJL.
func (s *stream) begin(c *dissector.Context) bool {
	for _, x := range starts {
		if bytes.HasPrefix(s.start, []byte(x.text)) {
			if s.begun = true; x.language == "pjl" {
				return true
			}
			s.document(c, x.language)
			return false
		}
	}
	if len(s.start) == maxStart {
		s.document(c, "other")
	}
	return false
}

// read gives lines away, until the document begins.
func (s *stream) read(c *dissector.Context, b []byte, take func(*dissector.Context, []byte)) {
	r := &s.half[c.Side&1]
	for b = r.Pass(b); len(b) > 0 && (c.Side == dissector.Dst || !s.job); {
		line, rest, ok := r.Next(b)
		if b = rest; ok {
			take(c, line.Text)
		}
	}
}

// client takes a line of PJL. The first one that is none begins the document.
func (s *stream) client(c *dissector.Context, line []byte) {
	line = bytes.TrimPrefix(line, []byte(exitLanguage))
	if len(line) == 0 {
		return
	}
	if !bytes.HasPrefix(line, []byte("@PJL")) {
		s.document(c, "other")
		return
	}
	words := strings.Fields(strings.ToUpper(string(line[4:])))
	if len(words) > 0 && words[0] == "ENTER" {
		_, value, _ := strings.Cut(strings.Join(words[1:], ""), "=")
		language := strings.ToLower(value)
		if !slices.Contains(languages, language) {
			language = "other"
		}
		s.document(c, language)
	}
}

// languages are those that PJL enters.
var languages = []string{"pcl", "pclxl", "pcl3gui", "postscript", "pdf", "hpgl2", "escp", "escpl2", "ppds", "xps", "zjs", "acl", "urf", "pwgraster", "automatic"}

// document tells that a document begins, once.
func (s *stream) document(c *dissector.Context, language string) {
	s.job, s.start = true, nil
	if !s.news("job") {
		return
	}
	f := dissector.Fact{Kind: "job", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", "client")
	f.Attributes.Set("language", language)
	c.Emit(&f)
}

func (s *stream) news(key string) bool {
	if slices.Contains(s.told, key) || len(s.told) == maxTold {
		return false
	}
	s.told = append(s.told, key)
	return true
}

// server takes a line of a printer's answer:
//
//	@PJL INFO ID           the question again
//	"HP LaserJet 4000"     or CODE=10001, ONLINE=TRUE, PAGECOUNT=53, ...
//	form feed              the end
func (s *stream) server(c *dissector.Context, line []byte) {
	if i := bytes.IndexByte(line, '\f'); i >= 0 {
		s.value(line[:i])
		s.flush(c)
		line = line[i+1:]
	}
	if bytes.HasPrefix(line, []byte("@PJL")) {
		s.flush(c)
		words := strings.Fields(strings.ToUpper(string(line[4:min(len(line), 64)])))
		s.question = strings.Join(words, " ")
		return
	}
	s.value(line)
}

// value takes a line of an answer in hand.
func (s *stream) value(line []byte) {
	line = bytes.TrimSpace(line)
	key, value, pair := strings.Cut(string(line), "=")
	text := dissector.Text([]byte(strings.Trim(value, `" `)), maxText)
	a := &s.answer
	switch {
	case s.question == "INFO ID" && len(line) > 1:
		id := bytes.Trim(line, `" `)
		a.Set("model", dissector.Text(id, maxText))
		a.Set("manufacturer", banner.Read(id).Manufacturer)
	case s.question == "INFO PAGECOUNT" && !pair:
		a.Set("pages", number(string(line)))
	case !pair:
	case key == "PAGECOUNT":
		a.Set("pages", number(text))
	case key == "CODE" && (s.question == "INFO STATUS" || s.question == "USTATUS DEVICE"):
		a.Set("status", number(text))
	case key == "ONLINE":
		a.Set("online", map[string]string{"TRUE": "true", "FALSE": "false"}[strings.ToUpper(text)])
	case strings.EqualFold(key, "SERIALNUMBER"), strings.EqualFold(key, "SERIAL NUMBER"):
		a.Set("serial", text)
	case strings.EqualFold(key, "FIRMWAREDATECODE"), strings.EqualFold(key, "FIRMWAREVERSION"):
		a.Set("firmware_version", text)
	}
}

func number(s string) string {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 40)
	if err != nil {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// flush tells an answer, once.
func (s *stream) flush(c *dissector.Context) {
	f := dissector.Fact{Kind: "printer", Subject: dissector.Subject{Side: c.Side}, Attributes: s.answer}
	s.answer, s.question = nil, ""
	if len(f.Attributes) == 0 {
		return
	}
	f.Attributes.Set("role", "server")
	if key, err := f.Attributes.MarshalJSON(); err == nil && s.news(string(key)) {
		c.Emit(&f)
	}
}

// Gap loses a line, and in the client's direction what it asks.
func (s *stream) Gap(c *dissector.Context, n int64) {
	s.half[c.Side&1].Gap(n)
	if c.Side == dissector.Src {
		s.begun, s.start = true, nil
		s.job = s.job || n > 0
	} else {
		s.answer, s.question = nil, ""
	}
}

// End tells an answer that did not end.
func (s *stream) End(c *dissector.Context) {
	if c.Side == dissector.Dst {
		s.flush(c)
	}
}

// Size is about the bytes that are kept.
func (s *stream) Size() int { return 256 + cap(s.start) + s.half[0].Size() + s.half[1].Size() }
