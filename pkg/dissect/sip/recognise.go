// Package sip dissects SIP (RFC 3261) over UDP and TCP: what telephones, gateways and
// servers call themselves, who registers and calls, how they authenticate, and where
// the media of a call will flow.
//
// Here live the start lines and the few headers that are read, and of a session's
// description (SDP, RFC 8866) the addresses and ports of its media, which are announced
// to the engine as rtp and rtcp. Numbers, names and addresses of callers, subjects, and
// bodies of messages never leave.
package sip

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is SIP.
var Protocol = dissector.Protocol{
	Name: "sip", Ports: []uint16{5060},
	Datagram:  datagram,
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// methods are the registered ones (IANA, SIP Methods).
var methods = []string{"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "SUBSCRIBE", "NOTIFY", "PUBLISH", "INFO", "REFER", "MESSAGE", "UPDATE"}

// schemes begin a request's target.
var schemes = []string{"sip:", "sips:", "tel:", "urn:"}

const (
	version   = "SIP/2.0"
	maxTarget = 800 // bytes of a first line
)

// recognise wants the line of a request, "INVITE sip:target SIP/2.0", or of a response,
// "SIP/2.0 200 text".
func recognise(b []byte, _ bool) dissector.Verdict {
	b = bytes.TrimLeft(b, "\r\n") // pings before it (RFC 5626 3.5.1)
	if len(b) == 0 {
		return dissector.More
	}
	if n := min(len(b), len(version)+1); string(b[:n]) == (version + " ")[:n] {
		const code = 3
		if len(b) < len(version)+1+code {
			return dissector.More
		}
		if _, ok := status(b); !ok {
			return dissector.No
		}
		return dissector.Yes
	}
	for _, m := range methods {
		n := min(len(b), len(m)+1)
		if string(b[:n]) != (m + " ")[:n] {
			continue
		}
		if n <= len(m) {
			return dissector.More
		}
		return target(b[n:])
	}
	return dissector.No
}

// status reads the code of a response.
func status(b []byte) (code int, ok bool) {
	b = b[len(version)+1:]
	for _, x := range b[:3] {
		if x < '0' || x > '9' {
			return 0, false
		}
		code = code*10 + int(x-'0')
	}
	return code, code >= 100 && code < 700 && (len(b) == 3 || b[3] == ' ' || b[3] == '\r' || b[3] == '\n')
}

// target judges what follows a method: an address in one of the schemes, and the
// version at the end of the line.
func target(b []byte) dissector.Verdict {
	known := false
	for _, s := range schemes {
		n := min(len(b), len(s))
		if bytes.EqualFold(b[:n], []byte(s[:n])) {
			if n < len(s) {
				return dissector.More
			}
			known = true
		}
	}
	if !known {
		return dissector.No
	}
	line, _, whole := bytes.Cut(b, []byte("\n"))
	for _, x := range line {
		if x < ' ' && x != '\r' && x != '\t' || x == 0x7f {
			return dissector.No
		}
	}
	switch {
	case bytes.HasSuffix(bytes.TrimRight(line, "\r"), []byte(" "+version)):
		return dissector.Yes
	case whole, len(line) > maxTarget:
		return dissector.No
	}
	return dissector.More
}

// datagram wants a whole start line and at least one of the headers that every message
// has (RFC 3261 8.1.1).
func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	if known && len(bytes.Trim(b, "\r\n\x00")) == 0 {
		return dissector.Yes // a ping
	}
	if recognise(b, false) != dissector.Yes {
		return dissector.No
	}
	var m message
	if !m.parse(b) && !known && c.Headers.SrcPort != 5060 && c.Headers.DstPort != 5060 {
		return dissector.No
	}
	m.emit(c, nil)
	return dissector.Yes
}
