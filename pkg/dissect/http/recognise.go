package http

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is HTTP/1 and, known by its preface, HTTP/2.
var Protocol = dissector.Protocol{
	Name: "http", Ports: []uint16{80, 8080},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// methods are those of the standards and of widespread use: RFC 9110, RFC 4918
// and other WebDAV, UPnP 1.1, Microsoft's RPC over HTTP, BITS and SSTP.
var methods = [...]string{
	"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "MKACTIVITY", "CHECKOUT", "MERGE",
	"NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE", "M-SEARCH", "M-POST",
	"RPC_IN_DATA", "RPC_OUT_DATA", "BITS_POST", "SSTP_DUPLEX_POST",
}

const (
	methodHead    = 1
	methodConnect = 5
	otherMethod   = len(methods)

	preface    = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" // RFC 9113 3.4
	maxMethod  = 24
	longTarget = 512 // printable bytes of a path that are enough
)

// recognise wants a request line with a known method, the line of a response, or
// the preface of HTTP/2.
func recognise(b []byte, _ bool) dissector.Verdict {
	for range 2 { // an empty line or two before are forgiven, RFC 9112 2.2
		b = bytes.TrimPrefix(b, []byte("\r\n"))
	}
	if v := begins(b, "HTTP/1."); v != dissector.No {
		if v == dissector.Yes && len(b) < len("HTTP/1.1 200") {
			return dissector.More
		}
		if v == dissector.Yes && !statusLine(b) {
			return dissector.No
		}
		return v
	}
	if v := begins(b, preface); v != dissector.No {
		return v
	}
	sp := bytes.IndexByte(b[:min(len(b), maxMethod)], ' ')
	if sp < 0 {
		for _, m := range methods {
			if begins(b, m) != dissector.No && len(b) <= len(m) {
				return dissector.More
			}
		}
		return dissector.No
	}
	m := method(b[:sp])
	if m == otherMethod {
		return dissector.No
	}
	return target(b[sp+1:], m)
}

// begins compares b with the beginning of what is wanted.
func begins(b []byte, want string) dissector.Verdict {
	n := min(len(b), len(want))
	switch {
	case string(b[:n]) != want[:n]:
		return dissector.No
	case n < len(want):
		return dissector.More
	}
	return dissector.Yes
}

// target judges what follows the method: a target of one of four forms, then the
// version (RFC 9112 3.2). RTSP and SIP have methods of the same names.
func target(b []byte, m int) dissector.Verdict {
	if len(b) == 0 {
		return dissector.More
	}
	switch {
	case b[0] == '/', b[0] == '*', m == methodConnect:
	default:
		v := begins(b, "http")
		if v != dissector.Yes {
			return v
		}
	}
	for i, x := range b {
		switch {
		case x == ' ':
			return begins(b[i+1:], "HTTP/1.")
		case x < ' ', x == 0x7f:
			return dissector.No
		case i == longTarget && b[0] == '/':
			return dissector.Yes
		}
	}
	return dissector.More
}

// method is the index of a method, otherMethod of one that is not known.
func method(b []byte) int {
	for i, m := range methods {
		if string(b) == m {
			return i
		}
	}
	return otherMethod
}

// statusLine holds for "HTTP/1.x nnn".
func statusLine(b []byte) bool {
	return len(b) >= 12 && string(b[:7]) == "HTTP/1." && digit(b[7]) && b[8] == ' ' && digit(b[9]) && digit(b[10]) && digit(b[11]) &&
		(len(b) == 12 || b[12] == ' ' || b[12] == '\r' || b[12] == '\n')
}

func digit(x byte) bool { return x >= '0' && x <= '9' }
