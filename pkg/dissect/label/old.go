package label

import (
	"bytes"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// old are services of old networks, many of them without encryption, and a few that
// manage machines.
var old = []*dissector.Protocol{
	atHome(tcp("rsh", rsh, 514)),
	atHome(tcp("rexec", rexec, 512)),
	atHome(tcp("rlogin", rlogin, 513)),
	tcp("x11", whole("lB", 12, func(b []byte) bool { // X11 8: byte order, version 11.0, lengths of what proves who asks
		if b[0] == 'l' {
			return b[1] == 0 && le16(b[2:]) == 11 && le16(b[4:]) == 0 && le16(b[6:]) <= 64 && le16(b[8:]) <= 256 && b[10]|b[11] == 0
		}
		return b[1] == 0 && be16(b[2:]) == 11 && be16(b[4:]) == 0 && be16(b[6:]) <= 64 && be16(b[8:]) <= 256 && b[10]|b[11] == 0
	}), 6000, 6001, 6002, 6010),
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

// zeros takes n texts that end with NUL.
func zeros(b []byte, n int) (ok, more bool) {
	for range n {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			return printable(b) && len(b) < 512, true
		}
		if !printable(b[:i]) {
			return false, false
		}
		b = b[i+1:]
	}
	return true, false
}

// port reads a port's number that ends with NUL.
func port(b []byte) (rest []byte, ok, more bool) {
	i := bytes.IndexByte(b, 0)
	for _, c := range b[:max(i, 0)] {
		if c < '0' || c > '9' {
			return nil, false, false
		}
	}
	switch {
	case i > 5:
		return nil, false, false
	case i < 0:
		if len(b) > 5 {
			return nil, false, false
		}
		for _, c := range b {
			if c < '0' || c > '9' {
				return nil, false, false
			}
		}
		return nil, true, true
	}
	return b[i+1:], true, false
}

// rsh knows the port for errors, two names, and the command (rshd(8)).
func rsh(b []byte) dissector.Verdict { return remote(b, 3) }

// rexec knows the port for errors, a name, a password, and the command (rexecd(8)).
func rexec(b []byte) dissector.Verdict { return remote(b, 3) }

func remote(b []byte, n int) dissector.Verdict {
	rest, ok, more := port(b)
	if ok && !more {
		ok, more = zeros(rest, n)
	}
	switch {
	case !ok:
		return dissector.No
	case more:
		return dissector.More
	}
	return dissector.Yes
}

// rlogin knows NUL, two names, and the terminal with its speed (RFC 1282).
func rlogin(b []byte) dissector.Verdict {
	if len(b) == 0 {
		return dissector.More
	}
	if b[0] != 0 {
		return dissector.No
	}
	ok, more := zeros(b[1:], 3)
	switch {
	case !ok:
		return dissector.No
	case more:
		return dissector.More
	}
	return dissector.Yes
}
