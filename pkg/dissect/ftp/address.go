package ftp

import (
	"bytes"
	"net/netip"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// hostPort reads "h1,h2,h3,h4,p1,p2" (RFC 959 4.1.2) at the beginning of b.
func hostPort(b []byte) (netip.Addr, uint16, bool) {
	var n [6]byte
	for i := range n {
		j := 0
		v := 0
		for j < len(b) && j < 3 && digit(b[j]) {
			v = v*10 + int(b[j]-'0')
			j++
		}
		if j == 0 || v > 255 || i < 5 && (j >= len(b) || b[j] != ',') {
			return netip.Addr{}, 0, false
		}
		n[i] = byte(v)
		b = b[j:]
		if i < 5 {
			b = b[1:]
		}
	}
	port := uint16(n[4])<<8 | uint16(n[5])
	return netip.AddrFrom4([4]byte(n[:4])), port, port != 0
}

// passive finds the six numbers of a 227 reply, which stand in brackets, or not.
func passive(text []byte) (netip.Addr, uint16, bool) {
	for i, x := range text {
		if digit(x) && (i == 0 || !digit(text[i-1]) && text[i-1] != ',') {
			if a, p, ok := hostPort(text[i:]); ok {
				return a, p, true
			}
		}
	}
	return netip.Addr{}, 0, false
}

// extendedPort reads EPRT's "|2|1080::8:800:200C:417A|5282|" (RFC 2428 2), and, with
// nothing but the port, what 229 has in its brackets. The address is not valid then.
func extendedPort(b []byte) (netip.Addr, uint16, bool) {
	if len(b) < 5 || b[0] < 33 || b[0] > 126 || digit(b[0]) {
		return netip.Addr{}, 0, false
	}
	f := bytes.Split(b, b[:1])
	if len(f) < 5 {
		return netip.Addr{}, 0, false
	}
	port, err := strconv.ParseUint(string(f[3]), 10, 16)
	if err != nil || port == 0 {
		return netip.Addr{}, 0, false
	}
	a, err := netip.ParseAddr(string(f[2]))
	if err != nil && len(f[2]) > 0 {
		return netip.Addr{}, 0, false
	}
	return a, uint16(port), true
}

// announce says that a data connection to the port will come. The address in the
// protocol and that of who speaks differ behind address translation.
func announce(c *dissector.Context, a netip.Addr, port uint16) {
	h := c.Headers
	own := h.SrcIP
	if h.PayloadLen == 0 && len(h.Payload) == 0 {
		return // at the end of the flow
	}
	if a.IsValid() && !a.IsUnspecified() {
		c.Sink.Expect(proto.TCP, netip.AddrPortFrom(a, port), data)
	}
	if a != own {
		c.Sink.Expect(proto.TCP, netip.AddrPortFrom(own, port), data)
	}
}

// data is the label of the data connections.
const data = "ftp_data"
