package quic

import (
	"encoding/binary"
	"strconv"
)

const (
	formLong = 0x80
	fixedBit = 0x40 // RFC 9000 17.2; RFC 9287 lets it vary once a connection stands

	maxID = 20 // bytes of a connection id
)

// The kinds of long header packets, in the order of version 1 (RFC 9000 17.2).
const (
	initial = iota
	zeroRTT
	handshake
	retry
	negotiation // of versions: it has no type
)

// header is a long header:
//
//	1 fixed type(2) ....(4) | version (4) | length, destination id | length, source id | ...
//	Initial: ... length, token | length of the rest | packet number (1 to 4) | payload
type header struct {
	kind     int
	version  uint32
	dst, src []byte
	number   int    // where the packet number begins
	end      int    // of the packet
	rest     []byte // of a negotiation: the versions
	cut      bool   // the packet was not captured to its end
}

// version is what is known of a version's number.
type version struct {
	name   string
	salt   []byte
	label  string // of the keys
	v2     bool   // the types are numbered otherwise, RFC 9369 3.2
	google bool   // the frames are Google's
}

// The salts of the initial secrets: RFC 9001 5.2, RFC 9369 3.3.1, the drafts of
// quic-tls, and Chromium for Google's own.
var (
	saltV1      = []byte{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}
	saltV2      = []byte{0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9}
	saltV2draft = []byte{0xa7, 0x07, 0xc2, 0x03, 0xa5, 0x9b, 0x47, 0x18, 0x4a, 0x1d, 0x62, 0xca, 0x57, 0x04, 0x06, 0xea, 0x7a, 0xe3, 0xe5, 0xd3}
	saltDraft29 = []byte{0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99}
	saltDraft23 = []byte{0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02}
	saltDraft22 = []byte{0x7f, 0xbc, 0xdb, 0x0e, 0x7c, 0x66, 0xbb, 0xe9, 0x19, 0x3a, 0x96, 0xcd, 0x21, 0x51, 0x9e, 0xbd, 0x7a, 0x02, 0x64, 0x4a}
	saltQ050    = []byte{0x50, 0x45, 0x74, 0xef, 0xd0, 0x66, 0xfe, 0x2f, 0x9d, 0x94, 0x5c, 0xfc, 0xdb, 0xd3, 0xa7, 0xf0, 0xd3, 0xb5, 0x6b, 0x45}
	saltT050    = []byte{0x7f, 0xf5, 0x79, 0xe5, 0xac, 0xd0, 0x72, 0x91, 0x55, 0x80, 0x30, 0x4c, 0x43, 0xa2, 0x36, 0x7c, 0x60, 0x48, 0x83, 0x10}
	saltT051    = []byte{0x7a, 0x4e, 0xde, 0xf4, 0xe7, 0xcc, 0xee, 0x5f, 0xa4, 0x50, 0x6c, 0x19, 0x12, 0x4f, 0xc8, 0xcc, 0xda, 0x6e, 0x03, 0x3d}
)

// labels of the keys.
const (
	labelV1 = "quic"
	labelV2 = "quicv2"
)

// versionOf tells what is known of a version; ok is false for one that is not.
func versionOf(n uint32) (v version, ok bool) {
	switch n {
	case 1:
		return version{name: "1", salt: saltV1, label: labelV1}, true
	case 0x6b3343cf:
		return version{name: "2", salt: saltV2, label: labelV2, v2: true}, true
	case 0x709a50c4: // drafts of version 2
		return version{name: "2-draft", salt: saltV2draft, label: labelV2, v2: true}, true
	case 0xfaceb001: // Facebook's mvfst
		return version{name: "mvfst-22", salt: saltDraft22, label: labelV1}, true
	case 0xfaceb002, 0xfaceb00e, 0xfaceb011, 0xfaceb013:
		return version{name: "mvfst-27", salt: saltDraft23, label: labelV1}, true
	case 0x51303530:
		return version{name: "Q050", salt: saltQ050, label: labelV1, google: true}, true
	case 0x54303530:
		return version{name: "T050", salt: saltT050, label: labelV1, google: true}, true
	case 0x54303531:
		return version{name: "T051", salt: saltT051, label: labelV1, google: true}, true
	}
	draft := n & 0xff
	if n&^0xff != 0xff000000 || draft < 22 || draft > 34 {
		return version{}, false
	}
	v = version{name: "draft-" + strconv.Itoa(int(draft)), salt: saltV1, label: labelV1}
	switch {
	case draft == 22:
		v.salt = saltDraft22
	case draft < 29:
		v.salt = saltDraft23
	case draft < 33:
		v.salt = saltDraft29
	}
	return v, true
}

// reserved holds for the versions that exist to be refused (RFC 9000 15).
func reserved(n uint32) bool { return n&0x0f0f0f0f == 0x0a0a0a0a }

// read takes the header of the packet at b, of a datagram with missing bytes at
// its end.
func (h *header) read(b []byte, missing int) bool {
	if len(b) < 7 || b[0]&formLong == 0 {
		return false
	}
	h.version = binary.BigEndian.Uint32(b[1:])
	r := reader{b: b, at: 5}
	h.dst = r.take(r.u8())
	h.src = r.take(r.u8())
	if r.bad || len(h.dst) > maxID || len(h.src) > maxID {
		return false
	}
	if h.version == 0 {
		h.kind, h.rest, h.end = negotiation, b[r.at:], len(b)
		return len(h.rest) > 0 && len(h.rest)%4 == 0
	}
	if b[0]&fixedBit == 0 {
		return false
	}
	v, known := versionOf(h.version)
	h.kind = int(b[0] >> 4 & 3)
	if v.v2 {
		h.kind = (h.kind + 3) & 3
	}
	if !known {
		h.end = len(b)
		return true
	}
	if h.kind == retry { // a token and a tag of 16 bytes
		h.end = len(b)
		return len(b)+missing-r.at > 16
	}
	if h.kind == initial {
		r.take(r.varint())
	}
	size := r.varint()
	h.number, h.end = r.at, r.at+size
	if r.bad || size < 4 || h.end > len(b)+missing {
		return false
	}
	if h.end > len(b) {
		h.end, h.cut = len(b), true
	}
	return true
}

// reader takes a header or a frame apart; after the first length that lies, all is
// empty.
type reader struct {
	b   []byte
	at  int
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b)-r.at {
		r.at, r.bad = len(r.b), true
		return nil
	}
	x := r.b[r.at : r.at+n]
	r.at += n
	return x
}

func (r *reader) u8() int {
	if x := r.take(1); x != nil {
		return int(x[0])
	}
	return 0
}

// varint is a number with its length in the first two bits (RFC 9000 16); one that
// no datagram has the bytes for is as good as broken.
func (r *reader) varint() int {
	first := r.u8()
	n := first & 0x3f
	for range 1<<(first>>6) - 1 {
		n = n<<8 | r.u8()
	}
	return n
}
