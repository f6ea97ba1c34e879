package label

import (
	"bytes"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// old are services of old networks, many of them without encryption, and a few that
// manage machines.
var old = []*dissector.Protocol{
	atHome(tcp("whois", lineEnds(printable), 43, 4343)),
	atHome(tcp("finger", lineEnds(printable), 79)),
	tcp("nntp", func(b []byte) dissector.Verdict { // RFC 3977 5.1: a greeting that says what it is
		if v := begins("200 ", "201 ")(b); v != dissector.Yes {
			return v
		}
		line, _, found := bytes.Cut(b, []byte("\r\n"))
		if s := strings.ToLower(string(line[:min(len(line), 200)])); strings.Contains(s, "nntp") || strings.Contains(s, "usenet") || strings.Contains(s, "netnews") || strings.Contains(s, "innd") {
			return dissector.Yes
		} else if found || len(b) > 200 {
			return dissector.No
		}
		return dissector.More
	}, 119),
	tcp("tacacs", whole("\xc0\xc1", 12, func(b []byte) bool { // RFC 8907 4.1: version, kind, number, flags, session, length
		return b[1] >= 1 && b[1] <= 3 && b[2] > 0 && b[3]&^5 == 0 && be32(b[8:]) > 4 && be32(b[8:]) < 65536 && be32(b[4:]) != 0
	}), 49),
	tcp("gearman", whole("\x00", 12, func(b []byte) bool { // Gearman's protocol: magic, kind, length
		return (string(b[:4]) == "\x00REQ" || string(b[:4]) == "\x00RES") && be32(b[4:]) > 0 && be32(b[4:]) <= 42 && be32(b[8:]) < 1<<24
	}), 4730),
	tcp("kismet", begins("*KISMET: "), 2501),
	tcp("ceph", begins("ceph v027", "ceph v2\n"), 3300, 6789),
}

// lineEnds waits for the end of the first line, and judges it.
func lineEnds(is func([]byte) bool) first {
	return func(b []byte) dissector.Verdict {
		line, _, found := bytes.Cut(b, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		switch {
		case len(line) > 255 || !is(line):
			return dissector.No
		case !found:
			return dissector.More
		}
		return dissector.Yes
	}
}
