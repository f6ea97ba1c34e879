package hl7

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is HL7 v2 over MLLP.
var Protocol = dissector.Protocol{
	Name: "hl7", Ports: []uint16{2575},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// The bytes of MLLP framing (HL7 v2.9 appendix C): start block, end block.
const (
	startBlock = 0x0b
	endBlock   = 0x1c
)

// maxLead is how many blank bytes before the first start block are forgiven.
const maxLead = 16

// recognise wants a start block, a header segment and plausible delimiters. In
// the middle of a connection they may stand anywhere.
func recognise(b []byte, midstream bool) dissector.Verdict {
	if midstream {
		for {
			i := bytes.IndexByte(b, startBlock)
			if i < 0 {
				return dissector.No
			}
			if v := header(b[i+1:]); v == dissector.Yes {
				return v
			}
			b = b[i+1:]
		}
	}
	lead := 0
	for lead < len(b) && blank(b[lead]) {
		lead++
	}
	if lead > maxLead {
		return dissector.No
	}
	if lead == len(b) {
		return dissector.More
	}
	if b[lead] != startBlock {
		return dissector.No
	}
	return header(b[lead+1:])
}

func blank(c byte) bool { return c == '\r' || c == '\n' || c == ' ' || c == 0 }

// header judges what follows a start block: MSH, FHS or BHS, a separator, and
// one to five encoding characters before the next separator.
func header(b []byte) dissector.Verdict {
	for len(b) > 0 && (b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	if !couldHead(b) {
		return dissector.No
	}
	if len(b) < 5 {
		return dissector.More
	}
	sep := b[3]
	if !delimiter(sep) {
		return dissector.No
	}
	for i, c := range b[4:] {
		switch {
		case c == sep:
			if i == 0 {
				return dissector.No
			}
			return dissector.Yes
		case !delimiter(c), i == 5:
			return dissector.No
		}
	}
	return dissector.More
}

// couldHead reports whether b begins, as far as it goes, like a header segment.
func couldHead(b []byte) bool {
	n := min(len(b), 3)
	for _, id := range []string{"MSH", "FHS", "BHS"} {
		if string(b[:n]) == id[:n] {
			return true
		}
	}
	return false
}

// delimiter holds for visible ASCII that is neither letter nor digit.
func delimiter(c byte) bool {
	return c > ' ' && c < 0x7f && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}
