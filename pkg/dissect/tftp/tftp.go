// Package tftp dissects the Trivial File Transfer Protocol (RFC 1350) with its
// options (RFC 2347 to 2349, RFC 7440): who reads from whom and who writes, how
// much, and whether it came to its end. A write is how firmware and configurations
// come to a device.
//
// A server answers from a port of its own choice, so that a transfer is a flow of
// its own, which is known by its request. Names of files and contents never leave.
package tftp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is TFTP.
var Protocol = dissector.Protocol{Name: "tftp", Ports: []uint16{port}, Datagram: datagram}

const (
	port = 69

	maxFile    = 512 // RFC 2347: a request fits into as many bytes
	maxOptions = 16
	blockSize  = 512
	maxBlock   = 65464 // RFC 2348
)

// Operations, two bytes before all else.
const (
	readRequest  = 1
	writeRequest = 2
	data         = 3
	ack          = 4
	errorCode    = 5
	optionAck    = 6
)

// modes are those of RFC 1350.
var modes = []string{"netascii", "octet", "mail"}

// optionNames are the options that are registered with IANA, and that of PXE.
var optionNames = []string{"blksize", "timeout", "tsize", "multicast", "windowsize", "utimeout", "rollover", "blksize2"}

// errorNames are the codes of an error (RFC 1350 5, RFC 2347).
var errorNames = [...]string{"undefined", "not_found", "access", "disk_full", "illegal", "unknown_transfer", "exists", "no_user", "options"}

func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	if len(b) < 4 || b[0] != 0 {
		return dissector.No
	}
	op := b[1]
	if op == readRequest || op == writeRequest {
		return request(c, op, b[2:])
	}
	if !known || op > optionAck || op == 0 {
		return dissector.No
	}
	s := kept(c)
	if !s.take(c, op, b) {
		return dissector.No
	}
	c.State = s
	return dissector.Yes
}

func kept(c *dissector.Context) *transfer {
	if s, ok := c.State.(*transfer); ok {
		return s
	}
	return &transfer{block: blockSize}
}

// request reads
//
//	file | 0 | mode | 0 | option | 0 | value | 0 | ...
//
// to its end: on ports other than the protocol's nothing may be amiss.
func request(c *dissector.Context, op byte, b []byte) dissector.Verdict {
	file, rest, ok := bytes.Cut(b, []byte{0})
	if !ok || len(file) == 0 || len(file) > maxFile || !printable(file) {
		return dissector.No
	}
	word, rest, ok := bytes.Cut(rest, []byte{0})
	i := slices.IndexFunc(modes, func(m string) bool { return strings.EqualFold(m, string(word)) })
	if !ok || i < 0 {
		return dissector.No
	}
	f := dissector.Fact{Kind: "read_request", Subject: dissector.Subject{Side: c.Side}}
	if op == writeRequest {
		f.Kind = "write_request"
	}
	f.Attributes.Set("role", "client")
	f.Attributes.Set("mode", modes[i])
	if !options(&f.Attributes, rest) && c.Headers.DstPort != port {
		return dissector.No
	}
	s := kept(c)
	c.State = s
	if s.requests++; !s.isTold(&f) {
		c.Emit(&f)
	}
	// The server's port is not known yet, the client's is.
	h := c.Headers
	c.Sink.Expect(proto.UDP, netip.AddrPortFrom(h.SrcIP, h.SrcPort), "tftp")
	return dissector.Yes
}

func printable(b []byte) bool {
	for _, x := range b {
		if x < ' ' || x == 0x7f {
			return false
		}
	}
	return true
}

// options reads pairs of a name and a number; false when they are broken.
func options(a *proto.Attributes, b []byte) bool {
	var names []string
	for range maxOptions {
		if len(b) == 0 {
			break
		}
		name, rest, ok1 := bytes.Cut(b, []byte{0})
		value, rest, ok2 := bytes.Cut(rest, []byte{0})
		if !ok1 || !ok2 {
			return false
		}
		b = rest
		word := strings.ToLower(string(name))
		if !slices.Contains(optionNames, word) {
			continue
		}
		names = append(names, word)
		if n, err := strconv.ParseUint(string(value), 10, 40); err == nil && word == "tsize" && n > 0 {
			a.Set("file_bytes", strconv.FormatUint(n, 10))
		}
	}
	a.SetList("options", names)
	return len(b) == 0
}

// transfer is what is kept of one: counts, and which requests were told.
type transfer struct {
	requests  int
	told      []string
	answered  bool
	block     int // bytes of a full one
	blocks    int
	bytes     int64
	last      uint16
	sender    dissector.Side // of the data
	complete  bool
	errorName string
}

const maxTold = 8

// isTold reports whether a request of this kind was told before; a client that
// gets no answer repeats it.
func (t *transfer) isTold(f *dissector.Fact) bool {
	key := f.Kind + f.Attributes.Get("mode") + f.Attributes.Get("file_bytes")
	if slices.Contains(t.told, key) || len(t.told) == maxTold {
		return true
	}
	t.told = append(t.told, key)
	return false
}

// Size is about how many bytes are kept.
func (t *transfer) Size() int { return 128 + 64*cap(t.told) }

// take notes one message of a transfer.
func (t *transfer) take(c *dissector.Context, op byte, b []byte) bool {
	n := binary.BigEndian.Uint16(b[2:])
	t.answered = true
	switch op {
	case data:
		size := c.Headers.PayloadLen - 4
		if size > maxBlock {
			return false
		}
		if t.blocks > 0 && n == t.last {
			return true // again
		}
		t.blocks, t.bytes, t.last, t.sender = t.blocks+1, t.bytes+int64(size), n, c.Side
		t.complete = size < t.block
	case ack:
		return c.Headers.PayloadLen >= 4 && c.Headers.PayloadLen <= 46 // with the padding of a frame, in some stacks
	case errorCode:
		if int(n) >= len(errorNames) {
			return false
		}
		t.errorName = errorNames[n]
	case optionAck:
		t.accepted(b[2:])
	}
	return true
}

// accepted takes the size of a block that both agreed on.
func (t *transfer) accepted(b []byte) {
	for range maxOptions {
		name, rest, ok1 := bytes.Cut(b, []byte{0})
		value, rest, ok2 := bytes.Cut(rest, []byte{0})
		if !ok1 || !ok2 {
			return
		}
		b = rest
		if n, err := strconv.Atoi(string(value)); err == nil && strings.EqualFold(string(name), "blksize") && n >= 8 && n <= maxBlock {
			t.block = n
		}
	}
}

// End sums a transfer up. The server opened the flow, unless it answered from the
// port that was asked.
func (t *transfer) End(c *dissector.Context) {
	h := c.Headers
	if t.requests > 1 {
		f := dissector.Fact{Kind: "requests", Subject: dissector.Subject{Side: dissector.Src}}
		f.Attributes.Set("role", "client")
		f.Attributes.Set("count", strconv.Itoa(t.requests))
		c.Emit(&f)
	}
	if !t.answered {
		return
	}
	served := dissector.Src
	if h.DstPort == port && c.Side == dissector.Src || h.SrcPort == port && c.Side == dissector.Dst {
		served = dissector.Dst
	}
	f := dissector.Fact{Kind: "transfer", Subject: dissector.Subject{Side: served}}
	a := &f.Attributes
	a.Set("role", "server")
	if t.blocks > 0 {
		a.Set("direction", "read")
		if t.sender != served {
			a.Set("direction", "write")
		}
		a.Set("blocks", strconv.Itoa(t.blocks))
		a.Set("bytes", strconv.FormatInt(t.bytes, 10))
		a.Set("complete", strconv.FormatBool(t.complete))
	}
	a.Set("error", t.errorName)
	c.Emit(&f)
}
