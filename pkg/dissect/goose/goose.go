// Package goose dissects Generic Object Oriented Substation Events (IEC 61850-8-1),
// with which protection devices of power supply report, in frames without IP. Told
// is which control block a device publishes, and whether as a simulation; what it
// reports is not read.
//
// A device repeats its state for ever, and nothing is kept from one frame to the
// next: it is told when the state changes, and once in 256 repetitions.
package goose

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is GOOSE.
var Protocol = dissector.Protocol{Name: "goose", EtherType: 0x88b8, Frame: frame}

// A frame: application id (2), length of all (2), two reserved (2 each), then the
// message in BER, application 1.
const (
	header  = 8
	message = 0x61
	maxText = 129
)

// The elements of a message (A.3), by their tag.
const (
	controlBlock = 0x80
	dataSet      = 0x82
	goID         = 0x83
	number       = 0x86
	simulation   = 0x87
	revision     = 0x88
)

// element is one of BER's.
func element(b []byte) (tag byte, value, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	tag = b[0]
	n, at := int(b[1]), 2
	switch {
	case n == 0x81 && len(b) > 2:
		n, at = int(b[2]), 3
	case n == 0x82 && len(b) > 3:
		n, at = int(binary.BigEndian.Uint16(b[2:])), 4
	case n > 0x7f:
		return 0, nil, nil, false
	}
	if n > len(b)-at {
		return 0, nil, nil, false
	}
	return tag, b[at : at+n], b[at+n:], true
}

func frame(c *dissector.Context, b []byte) {
	if len(b) < header+4 {
		return
	}
	tag, b2, _, ok := element(b[header:])
	if !ok || tag != message {
		c.Count("goose_malformed")
		return
	}
	f := dissector.Fact{Kind: "publish", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	a.Set("application_id", "0x"+strconv.FormatUint(uint64(binary.BigEndian.Uint16(b))|1<<16, 16)[1:])
	for b2 != nil {
		tag, v, rest, ok := element(b2)
		if !ok {
			break
		}
		b2 = rest
		switch tag {
		case controlBlock:
			text := dissector.Text(v, maxText)
			a.Set("control_block", text)
			device, _, _ := strings.Cut(text, "/")
			a.Set("logical_device", device)
		case dataSet:
			a.Set("data_set", dissector.Text(v, maxText))
		case goID:
			a.Set("goose_id", dissector.Text(v, maxText))
		case number:
			if n := value(v); n%256 != 0 {
				return
			}
		case simulation:
			if len(v) == 1 && v[0] != 0 {
				a.Set("simulation", "true")
			}
		case revision:
			a.Set("configuration_revision", strconv.FormatUint(uint64(value(v)), 10))
		}
	}
	c.Emit(&f)
}

func value(b []byte) (n uint32) {
	for _, x := range b {
		n = n<<8 | uint32(x)
	}
	return n
}
