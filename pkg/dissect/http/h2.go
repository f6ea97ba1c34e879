package http

import (
	"encoding/binary"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// HTTP/2 in clear (RFC 9113), after its preface or an upgrade. Header fields refer
// to those before them (HPACK, RFC 7541), so that the blocks have to be read from
// the first on, and a direction with a gap is over. What the coding keeps of them
// is given up after maxBlocks, which is soon.
const (
	h2Frame    = 9
	h2Usual    = 1 << 14 // bytes of a frame, unless the other end allows more (RFC 9113 4.2)
	maxBlocks  = 64      // of a direction that are read
	maxField   = 8 << 10 // bytes of a name or a value
	maxBlock   = 64 << 10
	maxTable   = 64 << 10 // of HPACK
	usualTable = 4 << 10

	frameHeaders      = 1
	framePush         = 5
	frameContinuation = 9
	lastFrame         = 0x10 // RFC 9218

	flagEndHeaders = 0x04
	flagPadded     = 0x08
	flagPriority   = 0x20
)

// h2 reads the frames of both directions.
type h2 struct {
	seen *seen
	half [2]h2half
	done bool
}

type h2half struct {
	preface int // bytes of it to come
	head    [h2Frame]byte
	headN   int
	left    int // bytes of the frame to come
	prefix  int // of them, before the block of fields
	padded  bool
	padding int
	fields  int // bytes of the block to come
	open    bool
	block   int // bytes of the block in hand
	blocks  int
	dec     *hpack.Decoder
	msg     message
	status  bool // the block has a status
	method  bool
	asked   []byte // a question of DNS in the block's path
	isDNS   bool   // the block says that a message of DNS follows
	bodies  []dnsBody
	bytes   int64
	over    bool
	lost    bool // to begin with a frame again
}

// newH2 goes on behind so many bytes of the preface.
func newH2(s *seen, client dissector.Side, read int) *h2 {
	x := &h2{seen: s}
	x.half[client&1].preface = len(preface) - read
	return x
}

// Data takes frames apart.
func (x *h2) Data(c *dissector.Context, b []byte) {
	h := &x.half[c.Side&1]
	if h.lost {
		if !frameHead(b) {
			return
		}
		h.lost = false
	}
	if h.bytes += int64(len(b)); h.bytes > muchMore*maxBodies && !h.open {
		h.end()
	}
	for len(b) > 0 && !h.over {
		switch {
		case h.preface > 0:
			n := min(h.preface, len(b))
			if at := len(preface) - h.preface; string(b[:n]) != preface[at:at+n] {
				h.end()
			}
			h.preface -= n
			b = b[n:]
		case h.headN < h2Frame:
			n := copy(h.head[h.headN:], b)
			h.headN += n
			b = b[n:]
			if h.headN == h2Frame {
				x.enter(c, h)
			}
		default:
			b = x.payload(c, h, b)
		}
	}
	if x.half[0].over && x.half[1].over {
		x.finish(c, true)
	}
}

// frameHead reports that b begins like a frame.
func frameHead(b []byte) bool {
	return len(b) >= h2Frame && b[0] == 0 && int(binary.BigEndian.Uint16(b[1:])) <= h2Usual && b[3] <= lastFrame && b[5]&0x80 == 0
}

func (h *h2half) end() {
	h.over, h.dec = true, nil
	h.msg = message{}
	h.asked, h.bodies = nil, nil
}

func (h *h2half) streamID() uint32 { return binary.BigEndian.Uint32(h.head[5:]) & 0x7fffffff }

// enter judges the head of a frame: length (3), type, flags, stream (4).
func (x *h2) enter(c *dissector.Context, h *h2half) {
	h.left = int(h.head[0])<<16 | int(binary.BigEndian.Uint16(h.head[1:]))
	kind, flags := h.head[3], h.head[4]
	h.prefix, h.padding, h.fields, h.padded = 0, 0, 0, false
	switch {
	case h.open != (kind == frameContinuation): // nothing may stand within a block
		c.Count("http_frame_malformed")
		h.end()
		return
	case kind == frameHeaders, kind == framePush:
		h.padded = flags&flagPadded != 0
		switch {
		case kind == framePush:
			h.prefix = 4
		case flags&flagPriority != 0:
			h.prefix = 5
		}
		if h.padded {
			h.prefix++
		}
		h.open, h.block, h.status, h.method = true, 0, false, false
		h.msg.reset()
		h.asked, h.isDNS = nil, false
	case kind == frameData && h.body() != nil:
		if h.padded = flags&flagPadded != 0; h.padded {
			h.prefix = 1
		}
	case kind != frameContinuation:
		x.leave(c, h)
		return
	}
	if h.fields = h.left - h.prefix; h.fields < 0 {
		c.Count("http_frame_malformed")
		h.end()
		return
	}
	x.leave(c, h)
}

// leave goes on behind a frame, and ends a block with it.
func (x *h2) leave(c *dissector.Context, h *h2half) {
	if h.left > 0 || h.over {
		return
	}
	h.headN = 0
	if h.open && h.head[4]&flagEndHeaders != 0 {
		h.open = false
		x.message(c, h)
	}
	if h.head[3] == frameData && h.head[4]&flagEndStream != 0 {
		h.ended(c)
	}
}

// payload takes bytes of a frame: those of a block go to HPACK.
func (x *h2) payload(c *dissector.Context, h *h2half, b []byte) []byte {
	n := min(h.left, len(b))
	part := b[:n]
	h.left -= n
	b = b[n:]
	for h.prefix > 0 && len(part) > 0 {
		if h.padded {
			h.padded, h.padding = false, int(part[0])
			if h.fields -= h.padding; h.fields < 0 {
				c.Count("http_frame_malformed")
				h.end()
				return b
			}
		}
		h.prefix--
		part = part[1:]
	}
	if k := min(h.fields, len(part)); k > 0 {
		h.fields -= k
		if h.head[3] != frameData {
			x.decode(c, h, part[:k])
		} else if d := h.body(); d != nil {
			d.add(part[:k])
		}
	}
	x.leave(c, h)
	return b
}

func (x *h2) decode(c *dissector.Context, h *h2half, b []byte) {
	if h.dec == nil {
		h.dec = hpack.NewDecoder(usualTable, func(f hpack.HeaderField) { h.field(f.Name, f.Value) })
		h.dec.SetAllowedMaxDynamicTableSize(maxTable)
		h.dec.SetMaxStringLength(maxField)
	}
	h.block += len(b)
	if _, err := h.dec.Write(b); err != nil || h.block > maxBlock {
		c.Count("http_block_malformed")
		h.end()
	}
}

// field takes one field. The path is looked at for a question of DNS, and by nobody else.
func (h *h2half) field(name, value string) {
	switch name {
	case ":method":
		h.method = true
		h.msg.method = method([]byte(value))
	case ":authority":
		keep(&h.msg.host, []byte(value), maxHost)
	case ":status":
		n, err := strconv.Atoi(value)
		h.status = err == nil && n >= 100 && n < 600
		h.msg.status = n
	case ":path":
		h.asked = question(value)
	case ":scheme", ":protocol", "cookie", "set-cookie":
	default:
		h.isDNS = h.isDNS || name == "content-type" && strings.EqualFold(value, dnsType)
		h.msg.header([]byte(name + ":" + value))
	}
}

// message tells a whole block: of a request, of a response, or trailers, which say
// nothing.
func (x *h2) message(c *dissector.Context, h *h2half) {
	if h.dec != nil {
		if err := h.dec.Close(); err != nil {
			c.Count("http_block_malformed")
			h.end()
			return
		}
	}
	h.msg.minor = minorTwo
	switch {
	case h.head[3] == framePush, h.status && h.msg.status < 200:
	case h.status:
		h.msg.response = true
		x.seen.response(c, &h.msg)
	case h.method:
		x.seen.request(c, &h.msg)
	}
	h.dns(c)
	if h.blocks++; h.blocks >= maxBlocks {
		h.end()
	}
}

// Gap gives a direction up once its blocks have begun: what follows refers to what
// is missing. Before that it begins with the next frame.
func (x *h2) Gap(c *dissector.Context, n int64) {
	h := &x.half[c.Side&1]
	switch {
	case h.over:
	case n > 0 && h.headN == h2Frame && !h.open && int64(h.left) >= n:
		h.left -= int(n)
		if d := h.body(); d != nil {
			d.long = true // nobody has all of it
		}
		x.leave(c, h)
	case h.dec == nil && !h.open:
		h.preface, h.headN, h.left, h.lost = 0, 0, 0, true
	default:
		h.end()
	}
	if x.half[0].over && x.half[1].over {
		x.finish(c, true)
	}
}

// End sums the connection up when both directions are over.
func (x *h2) End(c *dissector.Context) {
	x.half[c.Side&1].end()
	if x.half[1-c.Side&1].over {
		x.finish(c, false)
	}
}

func (x *h2) finish(c *dissector.Context, incomplete bool) {
	if x.done {
		return
	}
	x.done = true
	x.seen.finish(c, incomplete)
	c.Sink.Done()
}

// Size is about how many bytes are kept.
func (x *h2) Size() int {
	n := 512
	for i := range x.half {
		h := &x.half[i]
		n += h.msg.size() + cap(h.asked)
		for _, d := range h.bodies {
			n += 40 + cap(d.b)
		}
		if h.dec != nil {
			n += 2*usualTable + h.block
		}
	}
	return n
}
