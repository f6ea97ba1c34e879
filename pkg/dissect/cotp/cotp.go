// Package cotp reads what carries several protocols of automation over TCP: TPKT
// (RFC 1006) with the connection-oriented transport protocol of OSI in it (RFC 905,
// ISO 8073). Here lives the framing, and the parts of a message; the protocols on
// it have their own packages.
package cotp

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// The messages (RFC 905, 13): the first half of their code.
const (
	Expedited = 0x10
	ErrorTPDU = 0x70
	Release   = 0x80
	Confirm   = 0xd0
	Connect   = 0xe0
	Data      = 0xf0
)

// A message: TPKT's version 3, 0, and length of all (2), then the length of the
// header (1), the code (1), ..., and user data.
const (
	tpkt  = 4
	least = tpkt + 3
)

// Format is the framing; odd counts what is none. Messages longer than Keep are cut.
func Format(odd string) framing.Format { return framing.Format{Keep: 4096, Length: length, Odd: odd} }

func length(b []byte, _ bool) int {
	switch {
	case b[0] != 3, len(b) > 1 && b[1] != 0:
		return -1
	case len(b) < least-1:
		return 0
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < least || int(b[4])+tpkt+1 > n || b[4] < 2 {
		return -1
	}
	switch b[5] & 0xf0 {
	case Data:
		if b[4] > 4 && b[4] != 7 {
			return -1
		}
	case Connect, Confirm, Release, ErrorTPDU, Expedited:
	default:
		return -1
	}
	return n
}

// Message is one message.
type Message struct {
	Code            byte
	Calling, Called []byte // transport selectors, of Connect and Confirm
	Foreign         bool   // parameters that are no protocol of automation's: RDP's
	User            []byte
	More            bool // of a Data, that the next one goes on
}

// Read takes a message apart.
func Read(b []byte) (m Message) {
	end := min(len(b), tpkt+1+int(b[4]))
	m.Code, m.User = b[5]&0xf0, b[end:]
	head := b[tpkt+2 : end]
	switch m.Code {
	case Data:
		m.More = len(head) > 0 && head[0]&0x80 == 0
	case Connect, Confirm:
		if len(head) < 5 {
			return m
		}
		for p := head[5:]; len(p) >= 2; {
			n := 2 + int(p[1])
			if len(p) < n {
				m.Foreign = true
				break
			}
			switch p[0] {
			case 0xc1:
				m.Calling = p[2:n]
			case 0xc2:
				m.Called = p[2:n]
			case 0xc0, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0xf0:
			default:
				m.Foreign = true
			}
			p = p[n:]
		}
	}
	return m
}

// Walk calls yield with the messages at the beginning of a stream until it says
// stop; whole is false where the last one is not complete, valid where b is not
// of this framing at all.
func Walk(b []byte, yield func(m Message) (stop bool)) (whole, valid bool) {
	for len(b) > 0 {
		n := length(b, false)
		switch {
		case n < 0:
			return false, false
		case n == 0, n > len(b) && len(b) < least:
			return false, true
		}
		if n > len(b) && b[5]&0xf0 != Data {
			return false, true
		}
		if yield(Read(b[:min(n, len(b))])) {
			return true, true
		}
		if n > len(b) {
			return false, true
		}
		b = b[n:]
	}
	return true, true
}
