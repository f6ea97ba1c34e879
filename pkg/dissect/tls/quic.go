package tls

import (
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// QUIC carries the same messages without records (RFC 9001 4); its package puts
// them together.

// Transport parameters (RFC 9000 18) of a client's hello.
const (
	extTransport      = 57
	extTransportDraft = 0xffa5
	googleUserAgent   = 0x3129 // Chromium: the program's name and the system's

	maxAgent = 128
)

// QUICClient reads a whole ClientHello, its header included.
func QUICClient(c *dissector.Context, m []byte) (proto.Attributes, bool) {
	var h hello
	if len(m) < messageHeader || m[0] != clientHello || !h.parse(m[messageHeader:]) {
		return nil, false
	}
	list := h.client(c, 'q')
	list.Set("user_agent", dissector.Text(parameter(h.transport, googleUserAgent), maxAgent))
	return list, true
}

// QUICServer reads a whole ServerHello; again says that the server asks the client
// for another hello.
func QUICServer(m []byte) (list proto.Attributes, again, ok bool) {
	var h hello
	if len(m) < messageHeader || m[0] != serverHello || !h.parseServer(m[messageHeader:]) {
		return nil, false, false
	}
	if h.retry() {
		return nil, true, true
	}
	return h.server(), false, true
}

// parameter finds a transport parameter: number, length, value.
func parameter(b []byte, wanted uint64) []byte {
	for len(b) > 0 {
		var id, size uint64
		var ok bool
		if id, b, ok = varint(b); !ok {
			return nil
		}
		if size, b, ok = varint(b); !ok || size > uint64(len(b)) {
			return nil
		}
		if id == wanted {
			return b[:size]
		}
		b = b[size:]
	}
	return nil
}

// varint takes a number with its length in the first two bits (RFC 9000 16) off.
func varint(b []byte) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1<<(b[0]>>6) {
		return 0, nil, false
	}
	size := 1 << (b[0] >> 6)
	n = uint64(b[0] & 0x3f)
	for _, x := range b[1:size] {
		n = n<<8 | uint64(x)
	}
	return n, b[size:], true
}
