// Package hartip dissects HART-IP (FieldComm Group, HCF_SPEC-085), with which
// instruments of process industry are read over UDP and TCP: what they are, and
// who writes to them. Tags, messages and measurements are not read.
package hartip

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// Protocol is HART-IP.
var Protocol = dissector.Protocol{
	Name: "hart_ip", Ports: []uint16{port},
	Datagram: datagram, Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const port = 5094

// The header:
//
//	0 version   1 kind   2 message   3 status   4 number (2)   6 length of all (2)
const header = 8

const (
	sessionInitiate = 0
	sessionClose    = 1
	keepAlive       = 2
	tokenPassing    = 3
	lastMessage     = 5 // of those before 128

	request  = 0
	response = 1
	publish  = 2
	nak      = 15
)

// size is the size of the message that b begins with, 0 and negative as in
// framing.Format.
func size(b []byte, _ bool) int {
	if b[0] == 0 || b[0] > 2 || len(b) > 1 && b[1] > publish && b[1] != nak || len(b) > 2 && b[2] > lastMessage {
		return -1
	}
	if len(b) < header {
		return 0
	}
	n := int(binary.BigEndian.Uint16(b[6:]))
	switch {
	case n < header || n > 4096:
		return -1
	case b[2] == sessionInitiate && b[1] <= response && (n < header+5 || len(b) > header && b[header] > 2):
		return -1
	case b[2] == sessionClose || b[2] == keepAlive:
		if n != header {
			return -1
		}
	case b[2] == tokenPassing && n > header:
		if n < header+5 {
			return -1
		}
		if len(b) < n {
			return 0
		}
		if _, ok := command(b[header:n]); !ok {
			return -1
		}
	}
	return n
}

var format = framing.Format{Keep: 4097, Length: size}

// strict wants a message that only HART-IP can be: the beginning of a session, or
// a command with its checksum.
func strict(b []byte, n int) bool {
	switch b[2] {
	case sessionInitiate:
		return n == header+5 && b[header] <= 1 && b[3] <= 15
	case tokenPassing:
		return n > header
	}
	return false
}

func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	if len(b) < header || b[0] > 2 || size(b, false) != c.Headers.PayloadLen || len(b) != c.Headers.PayloadLen {
		return dissector.No
	}
	if !known && c.Headers.SrcPort != port && c.Headers.DstPort != port && !strict(b, len(b)) {
		return dissector.No
	}
	message(c, b)
	return dissector.Yes
}

func recognise(b []byte, _ bool) dissector.Verdict {
	n, v := framing.Judge(b, size)
	switch {
	case v == dissector.Yes && n > len(b):
		return dissector.More
	case v == dissector.Yes && !strict(b, n):
		return dissector.No
	}
	return v
}

// stream is one connection over TCP.
type stream struct{ framing.Both }

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	s.Half(c).Each(c, &format, b, func(m []byte) bool {
		message(c, m)
		return false
	})
}

// hart is a command of HART (HCF_SPEC-081): delimiter, address (1 or 5), command,
// number of bytes, bytes, checksum.
type hart struct {
	answer  bool
	command byte
	data    []byte
}

// command reads a whole command and checks its sum.
func command(b []byte) (h hart, ok bool) {
	kind := b[0] & 0x07
	if kind != 1 && kind != 2 && kind != 6 {
		return h, false
	}
	h.answer = kind != 2
	at := 1 + 1
	if b[0]&0x80 != 0 {
		at = 1 + 5
	}
	at += int(b[0] >> 5 & 3) // expansion bytes
	if len(b) < at+3 {
		return h, false
	}
	n := int(b[at+1])
	if len(b) != at+3+n {
		return h, false
	}
	sum := byte(0)
	for _, x := range b {
		sum ^= x
	}
	h.command, h.data = b[at], b[at+2:at+2+n]
	return h, sum == 0
}

// writes are the universal and common practice commands that change a device
// (HCF_SPEC-127, HCF_SPEC-151).
var writes = map[byte]string{
	6: "write_polling_address", 17: "write_message", 18: "write_tag", 19: "write_assembly_number", 22: "write_long_tag", 34: "write_damping",
	35: "write_range", 36: "set_upper_range", 37: "set_lower_range", 40: "fixed_current", 42: "reset", 43: "set_zero", 44: "write_units",
	45: "trim_zero", 46: "trim_gain", 47: "write_transfer_function", 49: "write_sensor_serial", 51: "write_variable_assignments", 59: "write_preambles",
}

// message tells what a device says it is, and who writes to it.
func message(c *dissector.Context, b []byte) {
	if b[2] != tokenPassing || len(b) <= header {
		return
	}
	h, ok := command(b[header:])
	switch {
	case !ok:
	case !h.answer && writes[h.command] != "":
		f := dissector.Fact{Kind: "write", Subject: dissector.Subject{Side: c.Side}}
		f.Attributes.Set("role", "client")
		f.Attributes.Set("operation", writes[h.command])
		c.Emit(&f)
	case h.answer && h.command == 0 && len(h.data) >= 14 && h.data[2] == 254:
		identity(c, h.data[2:])
	}
}

// identity reads the answer to command 0, behind two bytes of status:
//
//	0 254   1 type of device (2)   4 revision of HART   5 of the device   6 of its software   7 of its hardware   9 id (3)   17 maker (2)
func identity(c *dissector.Context, d []byte) {
	f := dissector.Fact{Kind: "identity", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	a.Set("device_type", hex.EncodeToString(d[1:3]))
	a.Set("hart_revision", strconv.Itoa(int(d[4])))
	a.Set("device_revision", strconv.Itoa(int(d[5])))
	a.Set("software_version", strconv.Itoa(int(d[6])))
	a.Set("hardware_version", strconv.Itoa(int(d[7]>>3)))
	a.Set("serial", fmt.Sprintf("%02x%02x%02x", d[9], d[10], d[11]))
	if len(d) >= 19 {
		a.Set("vendor_id", strconv.Itoa(int(binary.BigEndian.Uint16(d[17:]))))
	}
	c.Emit(&f)
}
