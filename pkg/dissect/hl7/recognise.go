package hl7

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is HL7 v2 over MLLP.
var Protocol = dissector.Protocol{
	Name: "hl7", Ports: []uint16{2575},
	Recognise: recognise, NewStream: func() dissector.Stream { return newStream() },
}

// The bytes of MLLP framing (HL7 v2.9 appendix C): start block, end block. Release 2
// has blocks that only acknowledge: start block, ACK or NAK, end block.
const (
	startBlock = 0x0b
	endBlock   = 0x1c
	ack        = 0x06
	nak        = 0x15
)

// maxLead is how many blank bytes are forgiven before the first start block, and
// after one.
const maxLead = 16

// recognise wants a start block, a header segment and plausible delimiters; or a
// whole header segment without framing. In the middle of a connection a block may
// begin anywhere.
func recognise(b []byte, midstream bool) dissector.Verdict {
	if midstream {
		for {
			i := bytes.IndexByte(b, startBlock)
			if i < 0 {
				return dissector.No
			}
			if v := begins(b[i+1:]); v == dissector.Yes {
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
		return bare(b[lead:])
	}
	return begins(b[lead+1:])
}

func blank(c byte) bool { return c == '\r' || c == '\n' || c == ' ' || c == 0 }

// form is how a block is written.
type form uint8

const (
	undecided form = iota
	plain          // ASCII, or what has ASCII in it
	wideLE         // UTF-16
	wideBE
	markup // HL7 v2.xml, v3 or CDA
	commit // an acknowledgement of MLLP, without content
	refusal
)

// opening finds the form of a block by its first bytes, and how many of them come
// before the content: blanks, a byte order mark, the first line of HLLP.
func opening(b []byte) (f form, n int) {
	for n < len(b) && n < maxLead && (b[n] == '\r' || b[n] == '\n' || b[n] == ' ' || b[n] == '\t') {
		n++
	}
	b = b[n:]
	if len(b) == 0 {
		return undecided, n
	}
	is := func(want string) bool { return string(b[:min(len(b), len(want))]) == want[:min(len(b), len(want))] }
	letter := func(c byte) bool { return c == 'M' || c == 'F' || c == 'B' || c == '<' }
	short := len(b) < 2
	switch {
	case b[0] == '<', letter(b[0]):
		switch {
		case short:
			return undecided, n
		case b[1] == 0:
			return wideLE, n
		case b[0] == '<':
			return markup, n
		}
	case b[0] == 0 && short, b[0] == ack && short, b[0] == nak && short:
		return undecided, n
	case b[0] == 0 && letter(b[1]):
		return wideBE, n
	case b[0] == ack && b[1] == endBlock:
		return commit, n
	case b[0] == nak && b[1] == endBlock:
		return refusal, n
	case is("\xff\xfe"), is("\xfe\xff"):
		switch {
		case short:
			return undecided, n
		case b[0] == 0xff:
			return wideLE, n + 2
		}
		return wideBE, n + 2
	case is("\xef\xbb\xbf"):
		switch {
		case len(b) < 4:
			return undecided, n
		case b[3] == '<':
			return markup, n + 3
		}
		return plain, n + 3
	case is("D2"): // HLLP: block type D, version 2x, carriage return
		switch {
		case len(b) < 4:
			return undecided, n
		case b[3] == '\r':
			return plain, n + 4
		}
	}
	return plain, n
}

// begins judges what follows a start block.
func begins(b []byte) dissector.Verdict {
	f, n := opening(b)
	switch f {
	case undecided:
		return dissector.More
	case commit, refusal:
		return dissector.Yes
	case markup:
		return document(b[n:])
	case wideLE, wideBE:
		var room [32]byte
		narrow := room[:0]
		for b = b[n:]; len(b) >= 2 && len(narrow) < cap(narrow); b = b[2:] {
			x, high := b[0], b[1]
			if f == wideBE {
				x, high = high, x
			}
			if high != 0 {
				break
			}
			narrow = append(narrow, x)
		}
		if len(narrow) > 0 && narrow[0] == '<' {
			return dissector.No // nobody was seen to do that
		}
		return header(narrow)
	}
	return header(b[n:])
}

// header judges what should be a header segment: MSH, FHS or BHS, a separator, and
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

// bare judges a message without framing. There is nothing but the text to go by,
// so all of its header segment must be there, with a type and a version of HL7.
func bare(b []byte) dissector.Verdict {
	if b[0] != 'M' {
		return dissector.No
	}
	if v := header(b); v != dissector.Yes {
		return v
	}
	end := bytes.IndexAny(b, "\r\n")
	if end < 0 {
		return dissector.More
	}
	fields := bytes.Split(b[:end], b[3:4])
	if len(fields) < 12 || len(fields[8]) < 3 || !upper(string(fields[8][:3])) || !bytes.HasPrefix(fields[11], []byte("2.")) {
		return dissector.No
	}
	return dissector.Yes
}

// document judges XML: HL7 has a namespace of its own (v2.xml, v3).
func document(b []byte) dissector.Verdict {
	if bytes.Contains(b, []byte("urn:hl7-org:")) {
		return dissector.Yes
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

// delimiter holds for what may separate: anything but letters, digits, spaces and
// what ends segments and blocks.
func delimiter(c byte) bool {
	switch c {
	case 0, ' ', '\r', '\n', startBlock, endBlock:
		return false
	}
	return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}
