package printing

import (
	"bytes"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// JetDirect is a printer's raw port, spoken to in PJL.
var JetDirect = dissector.Protocol{
	Name: "jetdirect", Ports: []uint16{9100},
	Recognise: func(b []byte, _ bool) dissector.Verdict { return dissector.Begins(b, uel, "@PJL ", "@PJL\r\n") },
	NewStream: func() dissector.Stream { return new(pjl) },
}

// Raw is the same port spoken to in a page's own language.
var Raw = dissector.Protocol{
	Name: "jetdirect", Ports: []uint16{9100, 9101, 9102}, AtHome: true,
	Recognise: func(b []byte, _ bool) dissector.Verdict { return raw(b) },
	NewStream: func() dissector.Stream { return new(pjl) },
}

// uel is the universal exit language, with which jobs begin and end.
const uel = "\x1b%-12345X"

// raw knows a page language's beginning, or plain text that is no other protocol's.
func raw(b []byte) dissector.Verdict {
	if v := dissector.Begins(b, "%!PS", "\x1bE\x1b", "\x1b@", "^XA", "%PDF-", ") HP-PCL XL;", "\x1b%"); v != dissector.No {
		return v
	}
	switch dissector.Begins(b, "GET ", "POST ", "PUT ", "HEAD ", "OPTIONS ", "HTTP/", "SSH-", "220", "CONNECT ") {
	case dissector.Yes:
		return dissector.No
	case dissector.More:
		return dissector.More
	}
	for _, x := range b {
		if (x < ' ' || x == 0x7f) && x != '\r' && x != '\n' && x != '\t' && x != '\f' && x != 0x1b {
			return dissector.No
		}
	}
	if len(b) < 16 {
		return dissector.More
	}
	return dissector.Yes
}

const (
	maxLine  = 256
	maxBytes = 16 << 10 // of a direction that are read for lines
	maxText  = 128
	maxOnce  = 32
)

// pjl is one connection: both directions are lines, until a page begins.
type pjl struct {
	line  [2][]byte
	long  [2]bool // the line in hand is longer than maxLine
	bytes [2]int
	page  [2]bool // what follows is printed
	info  string  // what the printer's lines are an answer to
	once  map[string]bool
}

// Data reads the next bytes of a direction.
func (s *pjl) Data(c *dissector.Context, b []byte) {
	side := c.Side & 1
	for _, x := range b {
		if s.page[side] {
			break
		}
		if s.bytes[side]++; s.bytes[side] > maxBytes {
			s.page[side] = true
			break
		}
		if x != '\n' && x != '\f' {
			if len(s.line[side]) < maxLine {
				s.line[side] = append(s.line[side], x)
			} else {
				s.long[side] = true
			}
			continue
		}
		line := bytes.TrimSpace(s.line[side])
		if !s.long[side] {
			s.read(c, line)
		} else if !bytes.HasPrefix(line, []byte("@PJL")) && !bytes.HasPrefix(line, []byte(uel)) && c.Side == dissector.Src {
			s.page[side] = true
		}
		s.line[side], s.long[side] = s.line[side][:0], false
		if x == '\f' && side == 1 {
			s.info = ""
		}
	}
	if s.page[0] && (s.page[1] || s.bytes[1] == 0) && s.bytes[0] > maxBytes {
		c.Sink.Done()
	}
}

// Gap ends the reading: a page might be taken for lines, or, from the middle on, a
// client for the printer.
func (s *pjl) Gap(c *dissector.Context, _ int64) {
	s.page = [2]bool{true, true}
	c.Sink.Done()
}

// End has nothing to tell.
func (s *pjl) End(*dissector.Context) {}

// Size is the bytes that are kept.
func (s *pjl) Size() int { return 128 + cap(s.line[0]) + cap(s.line[1]) + 48*len(s.once) }

// read takes one line of either side.
func (s *pjl) read(c *dissector.Context, line []byte) {
	if c.Side == dissector.Dst {
		s.answer(c, line)
		return
	}
	for bytes.HasPrefix(line, []byte(uel)) {
		line = line[len(uel):]
	}
	rest, ok := bytes.CutPrefix(line, []byte("@PJL"))
	if !ok {
		if len(line) > 0 {
			s.page[0] = true
		}
		return
	}
	s.command(c, strings.Fields(string(rest)))
}

// operations are the commands that change a printer or read its files (chapters 5,
// 8, 9).
var operations = map[string]string{
	"FSDOWNLOAD": "file_write", "FSAPPEND": "file_write", "FSDELETE": "file_delete", "FSMKDIR": "file_write", "FSINIT": "file_system_init",
	"FSUPLOAD": "file_read", "FSDIRLIST": "file_list", "FSQUERY": "file_list", "RDYMSG": "display", "OPMSG": "display", "STMSG": "display",
	"DEFAULT": "set_default", "INITIALIZE": "reset", "RESET": "reset", "DMINFO": "snmp", "DMCMD": "snmp",
}

// languages are the page languages that a job may enter.
var languages = map[string]bool{"PCL": true, "PCLXL": true, "POSTSCRIPT": true, "PDF": true, "HPGL2": true, "ACL": true, "ESCP": true, "XPS": true, "PWG": true, "URF": true}

// command takes one command of a client.
func (s *pjl) command(c *dissector.Context, words []string) {
	if len(words) == 0 {
		return
	}
	word := strings.ToUpper(words[0])
	switch {
	case word == "ENTER":
		s.page[0] = true
		name, value, _ := strings.Cut(strings.ToUpper(strings.Join(words[1:], "")), "=")
		if name != "LANGUAGE" || !languages[value] {
			value = "other"
		}
		s.tell(c, "job", "client", "language", strings.ToLower(value))
	case operations[word] != "":
		s.tell(c, "control", "client", "operation", operations[word])
	}
}

// facts are the lines of answers that are told, "NAME=value": of which answer, name, and
// the fact's kind and attribute.
var facts = map[[2]string][2]string{
	{"STATUS", "CODE"}:                  {"status", "code"},
	{"PAGECOUNT", "PAGECOUNT"}:          {"status", "pages"},
	{"PRODINFO", "PRODUCTNAME"}:         {"identity", "model"},
	{"PRODINFO", "PRODUCTSERIALNUMBER"}: {"identity", "serial"},
	{"PRODINFO", "FIRMWAREDATECODE"}:    {"identity", "firmware_version"},
}

// answer takes one line of the printer's: what it is, how much it printed, and whether it
// is ready. Each answer repeats the question; what the printer says on its own
// (USTATUS), with names of jobs and users, is none.
func (s *pjl) answer(c *dissector.Context, line []byte) {
	text := strings.TrimSpace(string(line))
	if rest, ok := strings.CutPrefix(strings.ToUpper(text), "@PJL"); ok {
		s.info = ""
		if words := strings.Fields(rest); len(words) == 2 && words[0] == "INFO" {
			s.info = words[1]
		}
		return
	}
	name, value, pair := strings.Cut(text, "=")
	name, value = strings.ToUpper(strings.TrimSpace(name)), strings.Trim(value, ` "`)
	switch {
	case text == "":
	case s.info == "ID": // one line, and none that a client would say: the sides may be mistaken
		s.info = ""
		if len(text) > 2 && !pair && !strings.ContainsAny(text, "\x1b@") {
			s.product(c, strings.Trim(text, `"`))
		}
	case s.info == "PAGECOUNT" && !pair:
		name, value = s.info, text
		fallthrough
	case pair:
		f := facts[[2]string{s.info, name}]
		if f[0] == "status" && (len(value) > 9 || strings.Trim(value, "0123456789") != "") {
			return
		}
		switch {
		case f[1] == "model":
			s.product(c, value)
		case f[0] != "":
			s.tell(c, f[0], "server", f[1], dissector.Text([]byte(value), maxText))
		}
	}
}

// product tells what the printer is.
func (s *pjl) product(c *dissector.Context, name string) {
	manufacturer, model := banner.Product(dissector.Text([]byte(name), maxText))
	s.tell(c, "identity", "server", "manufacturer", manufacturer, "model", model)
}

// tell tells a fact, once; the last of its attributes is never empty.
func (s *pjl) tell(c *dissector.Context, kind, role string, named ...string) {
	key := kind + strings.Join(named, " ")
	if named[len(named)-1] == "" || s.once[key] || len(s.once) >= maxOnce {
		return
	}
	if s.once == nil {
		s.once = map[string]bool{}
	}
	s.once[key] = true
	f := dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", role)
	for i := 0; i < len(named); i += 2 {
		f.Attributes.Set(named[i], named[i+1])
	}
	c.Emit(&f)
}
