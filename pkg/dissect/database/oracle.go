package database

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// Oracle is Oracle Net's TNS. It has no public specification; the layout is as
// Wireshark's dissector documents it.
var Oracle = dissector.Protocol{
	Name: "oracle", Ports: []uint16{1521},
	Recognise: func(b []byte, _ bool) dissector.Verdict { return oracle(b) },
	NewStream: func() dissector.Stream {
		return &stream{format: [2]*framing.Format{&tnsFormat, &tnsFormat}, talk: new(tnsTalk)}
	},
}

// A packet: length (2), checksum (2), kind, flags, checksum of the header (2).
const (
	tnsConnect = 1
	tnsAccept  = 2
	tnsRefuse  = 4
	tnsData    = 6
)

var tnsFormat = framing.Format{Keep: maxKept, Length: func(b []byte, lost bool) int {
	if len(b) < 8 {
		return 0
	}
	n := be16(b)
	if n == 0 { // the length of newer versions has four bytes, once it was agreed on
		n = be32(b)
	}
	if n < 8 || b[4] == 0 || b[4] > 15 || lost && b[2]|b[3] != 0 {
		return -1
	}
	return n
}}

// oracle knows TNS: length, checksum 0, kind, and of a CONNECT the versions, of the
// answers their few kinds with lengths that fit.
func oracle(b []byte) dissector.Verdict {
	if len(b) > 3 && b[2]|b[3] != 0 {
		return dissector.No
	}
	if len(b) < 8 {
		return dissector.More
	}
	n := be16(b)
	if n < 8 || b[2]|b[3]|b[6]|b[7] != 0 || b[5] > 0x20 {
		return dissector.No
	}
	switch b[4] {
	case tnsConnect:
		if len(b) < 34 {
			return dissector.More
		}
		version, compatible, offset := be16(b[8:]), be16(b[10:]), be16(b[26:])
		return yes(version >= 300 && version <= 330 && compatible >= 300 && compatible <= version && offset >= 34 && offset <= n)
	case tnsAccept:
		if len(b) < 24 {
			return dissector.More
		}
		return yes(be16(b[8:]) >= 300 && be16(b[8:]) <= 330 && n >= 24 && n < 200)
	case tnsRefuse: // reasons, length of text
		if len(b) < 13 {
			return dissector.More
		}
		return yes(n < 2048 && be16(b[10:]) == n-12 && b[12] == '(')
	}
	return dissector.No
}

type tnsTalk struct{ told bool }

func (t *tnsTalk) message(c *dissector.Context, b []byte) bool {
	switch b[4] {
	case tnsConnect:
		if len(b) < 28 {
			return false
		}
		if at := be16(b[26:]); at >= 34 && at < len(b) {
			t.connect(c, b[at:])
		}
	case tnsData:
		// Long descriptions come in the first data, behind two bytes of flags.
		if c.Side == dissector.Src && len(b) > 10 && b[10] == '(' {
			t.connect(c, b[10:])
			return false
		}
		return true
	case tnsAccept:
		if len(b) >= 10 {
			f := fact(c, "server", "server")
			f.Attributes.Set("product", "Oracle")
			f.Attributes.Set("tns_version", strconv.Itoa(be16(b[8:])))
			c.Emit(&f)
		}
	case tnsRefuse:
		f := fact(c, "server", "server")
		f.Attributes.Set("product", "Oracle")
		f.Attributes.Set("refused", "true")
		f.Attributes.Set("software_version", tnsVersion(b))
		c.Emit(&f)
	}
	return false
}

// connect reads who asks: the program and the computer, of a description such as
// (DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=x)(CID=(PROGRAM=p)(HOST=h)(USER=u)))).
func (t *tnsTalk) connect(c *dissector.Context, b []byte) {
	if t.told {
		return // sent again, after RESEND or a redirection
	}
	f := fact(c, "login", "client")
	if at := bytes.Index(b, []byte("(CID=")); at >= 0 {
		cid := b[at:]
		name, _, _ := strings.Cut(tnsField(cid, "PROGRAM"), "@")
		f.Attributes.Set("program", program(name))
		f.Attributes.Set("computer_name", tnsField(cid, "HOST"))
		t.told = true
	}
	if name := tnsField(b, "COMMAND"); name != "" {
		f.Attributes.Set("command", tnsCommand(name))
	}
	c.Emit(&f)
}

// tnsCommand names what a listener is told to do.
func tnsCommand(s string) string {
	switch s = strings.ToLower(s); s {
	case "ping", "version", "status", "services", "stop", "reload", "debug", "log", "set", "dispatch":
		return s
	}
	return "other"
}

// tnsField is the value of (NAME=value).
func tnsField(b []byte, name string) string {
	i := bytes.Index(b, []byte("("+name+"="))
	if i < 0 {
		return ""
	}
	v, _, ok := bytes.Cut(b[i+len(name)+2:], []byte(")"))
	if !ok {
		return ""
	}
	return dissector.Text(v, maxText)
}

// tnsVersion reads (VSNNUM=318767104): the first byte is the release, then four
// bits and four more, and so on.
func tnsVersion(b []byte) string {
	n, err := strconv.ParseUint(tnsField(b, "VSNNUM"), 10, 32)
	if err != nil || n < 1<<24 {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d.%d.%d", n>>24, n>>20&15, n>>12&255, n>>8&15, n&255)
}
