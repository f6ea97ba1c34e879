package dnp3

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// Protocol is DNP3.
var Protocol = dissector.Protocol{
	Name: "dnp3", Ports: []uint16{port},
	Datagram: datagram, Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const port = 20000

// A frame (clause 9.2):
//
//	0 0x0564   2 length, of control, addresses and user data   3 control   4 destination (2)   6 source (2)   8 checksum (2)
//	then user data in blocks of 16 bytes, a checksum (2) behind each
const (
	header   = 10
	block    = 16
	minLen   = 5
	maxFrame = 292
)

// frameSize is the size of the frame that b begins with; 0 and negative as in
// framing.Format.
func frameSize(b []byte, _ bool) int {
	if b[0] != 0x05 || len(b) > 1 && b[1] != 0x64 || len(b) > 2 && b[2] < minLen {
		return -1
	}
	if len(b) < header {
		return 0
	}
	if binary.LittleEndian.Uint16(b[8:]) != checksum(b[:8]) {
		return -1
	}
	n := int(b[2]) - minLen
	return header + n + 2*((n+block-1)/block)
}

var format = framing.Format{Keep: maxFrame, Length: frameSize, Odd: "dnp3_not_a_frame"}

// table is that of the checksum, a CRC-16 of the polynomial 0x3d65 (9.2.4.3).
var table = func() (t [256]uint16) {
	for i := range t {
		crc := uint16(i)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xa6bc
			} else {
				crc >>= 1
			}
		}
		t[i] = crc
	}
	return t
}()

func checksum(b []byte) uint16 {
	crc := uint16(0)
	for _, x := range b {
		crc = crc>>8 ^ table[byte(crc)^x]
	}
	return ^crc
}

// frame is what a frame says.
type frame struct {
	destination, source uint16
	fromMaster          bool
	user                []byte // without checksums
	room                [250]byte
}

// read takes a whole frame apart.
func (f *frame) read(b []byte) {
	f.fromMaster = b[3]&0x80 != 0
	f.destination, f.source = binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:])
	f.user = f.room[:0]
	for b = b[header:]; len(b) > 2; {
		n := min(block, len(b)-2)
		f.user = append(f.user, b[:n]...)
		b = b[n+2:]
	}
}

func recognise(b []byte, _ bool) dissector.Verdict {
	_, v := framing.Judge(b, frameSize)
	return v
}

// datagram takes the frames of a datagram.
func datagram(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
	if len(b) < header || frameSize(b, false) <= 0 {
		return dissector.No
	}
	s, _ := c.State.(*flow)
	if s == nil {
		s = new(flow)
		c.State = s
	}
	for len(b) >= header {
		n := frameSize(b, false)
		if n <= 0 || n > len(b) {
			break
		}
		s.frame(c, b[:n])
		b = b[n:]
	}
	return dissector.Yes
}

// flow is what a connection is, of datagrams.
type flow struct{ stream }

// End tells what the flow came to.
func (s *flow) End(c *dissector.Context) { s.summary(c) }
