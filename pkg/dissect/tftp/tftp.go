// Package tftp dissects the Trivial File Transfer Protocol (RFC 1350, 2347 to 2349): who
// reads and who writes, and how much, since a write to a device may be new firmware.
//
// Names of files and their content never leave.
package tftp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is TFTP.
var Protocol = dissector.Protocol{Name: "tftp", Ports: []uint16{69}, Datagram: datagram}

// The opcodes.
const (
	readRequest  = 1
	writeRequest = 2
	data         = 3
	ack          = 4
	failed       = 5
	options      = 6
)

// errors are the error codes (RFC 1350 5, RFC 2347).
var errors = []string{"undefined", "not_found", "access_violation", "disk_full", "illegal_operation", "unknown_transfer", "exists", "no_such_user", "option_refused"}

// transfer is what is known of a flow with blocks.
type transfer struct {
	blocks [2]uint64 // of data, by side
	bytes  [2]uint64
	failed bool
}

// End tells who sent data.
func (x *transfer) End(c *dissector.Context) {
	for side, n := range x.blocks {
		if n == 0 {
			continue
		}
		f := dissector.Fact{Subject: dissector.Subject{Side: dissector.Side(side)}, Kind: "transfer"}
		f.Attributes.Set("blocks", strconv.FormatUint(n, 10))
		f.Attributes.Set("sent_bytes", strconv.FormatUint(x.bytes[side], 10))
		c.Emit(&f)
	}
}

// Size is what is kept.
func (*transfer) Size() int { return 48 }

// datagram knows a request by its mode; the rest, which goes between other ports, only
// where it was announced by a request, or on the flow of one.
func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	if len(b) < 4 || b[0] != 0 {
		return dissector.No
	}
	op := binary.BigEndian.Uint16(b)
	if op == readRequest || op == writeRequest {
		return request(c, b[2:], op)
	}
	if !known || op > options {
		return dissector.No
	}
	x, ok := c.State.(*transfer)
	if !ok {
		x = &transfer{}
		c.State = x
	}
	switch op {
	case data:
		x.blocks[c.Side&1]++
		x.bytes[c.Side&1] += uint64(c.Headers.PayloadLen - 4)
	case failed:
		if code := binary.BigEndian.Uint16(b[2:]); !x.failed && int(code) < len(errors) {
			x.failed = true
			f := dissector.Fact{Subject: dissector.Subject{Side: c.Side}, Kind: "error"}
			f.Attributes.Set("error", errors[code])
			c.Emit(&f)
		}
	}
	return dissector.Yes
}

// request reads a name and a mode, and options in pairs, each ended by NUL.
func request(c *dissector.Context, b []byte, op uint16) dissector.Verdict {
	name, rest, ok := bytes.Cut(b, []byte{0})
	mode, rest, ok2 := bytes.Cut(rest, []byte{0})
	if !ok || !ok2 || len(name) == 0 || len(name) > 512 || !printable(name) {
		return dissector.No
	}
	switch m := string(bytes.ToLower(mode[:min(len(mode), 9)])); m {
	case "octet", "netascii", "mail":
		f := dissector.Fact{Subject: dissector.Subject{Side: c.Side}, Kind: "read_request"}
		if op == writeRequest {
			f.Kind = "write_request"
		}
		f.Attributes.Set("role", "client")
		f.Attributes.Set("mode", m)
		size(&f, rest)
		c.Emit(&f)
		// The answer comes from a port of its own, to the one that asked.
		c.Sink.Expect(proto.UDP, netip.AddrPortFrom(c.Headers.SrcIP, c.Headers.SrcPort), "tftp")
		return dissector.Yes
	}
	return dissector.No
}

// size reads the option tsize: how long the file is that is written (RFC 2349).
func size(f *dissector.Fact, b []byte) {
	for range 8 {
		name, rest, ok := bytes.Cut(b, []byte{0})
		value, rest, ok2 := bytes.Cut(rest, []byte{0})
		if !ok || !ok2 {
			return
		}
		if bytes.EqualFold(name, []byte("tsize")) && len(value) < 12 {
			if n, err := strconv.ParseUint(string(value), 10, 64); err == nil && n > 0 {
				f.Attributes.Set("file_bytes", strconv.FormatUint(n, 10))
			}
		}
		b = rest
	}
}

func printable(b []byte) bool {
	for _, x := range b {
		if x < ' ' || x == 0x7f {
			return false
		}
	}
	return true
}
