package remote

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// X11 is the X Window System's protocol.
var X11 = dissector.Protocol{Name: "x11", Ports: []uint16{6000, 6001, 6002, 6010}, Recognise: recogniseX11, NewStream: func() dissector.Stream { return new(display) }}

// Parts of a connection's setup (X Window System Protocol 8):
//
//	client: order 'l' or 'B' (1) | 1 | major 11 (2) | minor 0 (2) | length of the name (2) | of the data (2) | 2 | name | data
//	server: success 1 (1) | 1 | major (2) | minor (2) | length (2) | release (4) | ... | 24 length of the vendor's name (2) | ... | 40 the name
const (
	setupSize   = 12
	answerSize  = 40
	offRelease  = 8
	offVendor   = 24
	maxCookie   = 64
	maxVendor   = 128
	littleOrder = 'l'
	bigOrder    = 'B'
)

func order(b byte) binary.ByteOrder {
	if b == bigOrder {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func recogniseX11(b []byte, midstream bool) dissector.Verdict {
	if midstream || len(b) > 0 && b[0] != littleOrder && b[0] != bigOrder {
		return dissector.No
	}
	if len(b) > 1 && b[1] > 0 && b[1] != '\n' { // unused, zero as everybody sends it
		return dissector.No
	}
	if len(b) < setupSize {
		return dissector.More
	}
	o := order(b[0])
	if o.Uint16(b[2:]) != 11 || o.Uint16(b[4:]) != 0 || o.Uint16(b[6:]) > maxCookie || o.Uint16(b[8:]) > 4*maxCookie {
		return dissector.No
	}
	return dissector.Yes
}

// display is one connection.
type display struct {
	half  [2][]byte
	order binary.ByteOrder
	over  [2]bool
}

// Data reads the next bytes of a direction.
func (d *display) Data(c *dissector.Context, b []byte) {
	side := c.Side & 1
	if !d.over[side] {
		d.half[side] = append(d.half[side], b[:min(len(b), answerSize+maxVendor-len(d.half[side]))]...)
		if c.Side == dissector.Src {
			d.client(c, d.half[side])
		} else {
			d.server(c, d.half[side])
		}
	}
	if d.over[0] && d.over[1] {
		c.Sink.Done()
	}
}

func (d *display) client(c *dissector.Context, b []byte) {
	if len(b) < setupSize {
		return
	}
	d.order = order(b[0])
	n := int(d.order.Uint16(b[6:]))
	if len(b) < setupSize+n {
		return
	}
	d.over[dissector.Src] = true
	f := dissector.Fact{Kind: "setup", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "client")
	switch name := b[setupSize : setupSize+n]; {
	case n == 0:
		a.Set("mechanism", "none")
	case bytes.Equal(name, []byte("MIT-MAGIC-COOKIE-1")):
		a.Set("mechanism", "magic_cookie")
		a.Set("cleartext_credential", "cookie")
	default:
		a.Set("mechanism", "other")
	}
	clear(d.half[dissector.Src])
	d.half[dissector.Src] = nil
	c.Emit(&f)
}

func (d *display) server(c *dissector.Context, b []byte) {
	if d.order == nil || len(b) < 8 {
		return
	}
	f := dissector.Fact{Kind: "display", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	switch b[0] {
	case 1:
		if len(b) < answerSize {
			return
		}
		n := int(d.order.Uint16(b[offVendor:]))
		if n > maxVendor {
			n = 0
		}
		if len(b) < answerSize+n {
			return
		}
		a.Set("outcome", "success")
		a.Set("manufacturer", dissector.Text(b[answerSize:answerSize+n], maxVendor))
		a.Set("release", strconv.FormatUint(uint64(d.order.Uint32(b[offRelease:])), 10))
	case 0:
		a.Set("outcome", "refused")
	}
	d.over[dissector.Dst], d.half[dissector.Dst] = true, nil
	c.Emit(&f)
}

// Gap loses the setup.
func (d *display) Gap(c *dissector.Context, _ int64) {
	d.over[c.Side&1], d.half[c.Side&1] = true, nil
}

// End has nothing to do.
func (*display) End(*dissector.Context) {}

// Size is about the bytes that are kept.
func (d *display) Size() int { return 64 + cap(d.half[0]) + cap(d.half[1]) }
