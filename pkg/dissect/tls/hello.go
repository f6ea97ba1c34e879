package tls

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Versions on the wire.
const (
	ssl2  = 0x0002
	ssl3  = 0x0300
	tls10 = 0x0301
	tls11 = 0x0302
	tls12 = 0x0303
	tls13 = 0x0304
)

var versionNames = map[uint16]string{ssl3: "ssl3", tls10: "1.0", tls11: "1.1", tls12: "1.2", tls13: "1.3", dtls10: "dtls1.0", dtls12: "dtls1.2", dtls13: "dtls1.3"}

// Extensions that are looked into (IANA's TLS ExtensionType Values).
const (
	extServerName          = 0
	extSupportedGroups     = 10
	extPointFormats        = 11
	extSignatureAlgorithms = 13
	extALPN                = 16
	extSupportedVersions   = 43
)

const (
	maxNumbers = 1024 // ciphers, extensions, groups, ... of a hello that are taken
	maxALPN    = 16
	maxSNI     = 255
	random     = 32
)

// hello is a client's or a server's. Lists are in the order of the wire, GREASE
// included; slices point into the message.
type hello struct {
	legacy     uint16 // version, as in the first field
	random     []byte
	ciphers    []byte // two bytes each
	extensions []uint16
	groups     []byte
	formats    []byte
	signatures []byte
	versions   []byte
	alpn       [][]byte
	sni        []byte
	transport  []byte // QUIC's parameters
	named      bool   // there is a server_name extension
	extended   bool   // there are extensions
}

// reader takes a message apart; after the first length that lies, all is empty.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.b, r.bad = nil, true
		return nil
	}
	x := r.b[:n]
	r.b = r.b[n:]
	return x
}

func (r *reader) u8() int {
	if x := r.take(1); x != nil {
		return int(x[0])
	}
	return 0
}

func (r *reader) u16() int {
	if x := r.take(2); x != nil {
		return int(binary.BigEndian.Uint16(x))
	}
	return 0
}

// parse reads a ClientHello (RFC 8446 4.1.2):
//
//	version (2) | random (32) | session (1+) | ciphers (2+) | compression (1+) | extensions (2+)
func (h *hello) parse(b []byte) bool {
	r := reader{b: b}
	h.legacy, h.random = uint16(r.u16()), r.take(random)
	r.take(r.u8())
	h.ciphers = r.take(r.u16())
	r.take(r.u8())
	if r.bad || len(h.ciphers)%2 != 0 || len(h.ciphers) > 2*maxNumbers || h.legacy>>8 != 3 && h.legacy != ssl2 && !h.datagrams() {
		return false
	}
	return h.extend(&r, false)
}

// parseServer reads a ServerHello (RFC 8446 4.1.3):
//
//	version (2) | random (32) | session (1+) | cipher (2) | compression (1) | extensions (2+)
func (h *hello) parseServer(b []byte) bool {
	r := reader{b: b}
	h.legacy, h.random = uint16(r.u16()), r.take(random)
	if h.legacy>>8 != 0x7f { // drafts of 1.3 up to 21 have no session
		r.take(r.u8())
	}
	h.ciphers = r.take(2)
	if h.legacy>>8 != 0x7f {
		r.take(1)
	}
	if r.bad || h.legacy>>8 != 3 && h.legacy>>8 != 0x7f && !h.datagrams() {
		return false
	}
	return h.extend(&r, true)
}

// extend reads the extensions, which may be missing as a whole.
func (h *hello) extend(r *reader, server bool) bool {
	if len(r.b) == 0 {
		return true
	}
	h.extended = true
	x := reader{b: r.take(r.u16())}
	for len(x.b) >= 4 && !x.bad && !r.bad { // less is no extension
		kind := x.u16()
		body := x.take(x.u16())
		if x.bad || len(h.extensions) == maxNumbers {
			return false
		}
		h.extensions = append(h.extensions, uint16(kind))
		h.look(uint16(kind), body, server)
	}
	return !x.bad && !r.bad
}

// look reads an extension. What is wrong inside one leaves its list empty: the
// hello as a whole is still what the client said.
func (h *hello) look(kind uint16, body []byte, server bool) {
	r := reader{b: body}
	switch kind {
	case extServerName:
		h.named = true
		if server {
			return
		}
		list := reader{b: r.take(r.u16())}
		for len(list.b) > 0 && h.sni == nil {
			kind, name := list.u8(), list.take(list.u16())
			if kind == 0 && !list.bad {
				h.sni = name
			}
		}
	case extSupportedGroups:
		h.groups = even(r.take(r.u16()))
	case extPointFormats:
		h.formats = r.take(r.u8())
	case extSignatureAlgorithms:
		h.signatures = even(r.take(r.u16()))
	case extALPN:
		list := reader{b: r.take(r.u16())}
		for len(list.b) > 0 && len(h.alpn) < maxALPN {
			if name := list.take(list.u8()); !list.bad {
				h.alpn = append(h.alpn, name)
			}
		}
	case extTransport, extTransportDraft:
		h.transport = body
	case extSupportedVersions:
		if server {
			h.versions = r.take(2)
		} else {
			h.versions = even(r.take(r.u8()))
		}
	}
}

func even(b []byte) []byte { return b[:len(b)&^1] }

// numbers gives the two-byte numbers of a list without GREASE.
func numbers(b []byte) []uint16 {
	list := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		if v := binary.BigEndian.Uint16(b); !grease(v) {
			list = append(list, v)
		}
	}
	return list
}

// grease holds for the reserved values of RFC 8701: both bytes alike, ending in a.
func grease(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// datagrams reports DTLS, whose versions count downwards.
func (h *hello) datagrams() bool { return h.legacy>>8 == 0xfe }

// version is the highest that was offered, or the one that was chosen.
func (h *hello) version() uint16 {
	if h.datagrams() {
		return h.top()
	}
	top := uint16(0)
	for _, v := range numbers(h.versions) {
		if v>>8 == 0x7f || v>>8 == 0xfb { // drafts of 1.3, Facebook's included
			v = tls13
		}
		if v>>8 == 3 {
			top = max(top, v)
		}
	}
	if top == 0 {
		top = h.legacy
	}
	if top>>8 == 0x7f {
		top = tls13
	}
	return top
}

// retryRandom marks a ServerHello as a HelloRetryRequest (RFC 8446 4.1.3): the
// SHA-256 of that word.
var retryRandom = []byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

func (h *hello) retry() bool { return bytes.Equal(h.random, retryRandom) }

func (h *hello) emitClient(c *dissector.Context) {
	over := byte('t')
	if h.datagrams() {
		over = 'd'
	}
	c.Emit(&dissector.Fact{Protocol: "tls", Kind: "client_hello", Subject: dissector.Subject{Side: c.Side}, Attributes: h.client(c, over)})
}

// client is what a client's hello says; over is the transport, as JA4 has it.
func (h *hello) client(c *dissector.Context, over byte) (list proto.Attributes) {
	a := &list
	a.Set("role", "client")
	if len(h.sni) > 0 {
		if name := serverName(h.sni); name != "" {
			a.Set("sni", name)
		} else {
			c.Count("tls_sni_withheld")
		}
	}
	a.SetList("alpn", h.protocols())
	a.Set("tls_version", versionNames[h.version()])
	a.SetList("tls_versions", h.offered())
	a.Set("ja3", h.ja3())
	a.Set("ja4", h.ja4(over))
	return list
}

func (h *hello) emitServer(c *dissector.Context) {
	c.Emit(&dissector.Fact{Protocol: "tls", Kind: "server_hello", Subject: dissector.Subject{Side: c.Side}, Attributes: h.server()})
}

// server is what a server's hello says.
func (h *hello) server() (list proto.Attributes) {
	a := &list
	a.Set("role", "server")
	a.Set("tls_version", versionNames[h.version()])
	a.Set("cipher", cipherName(binary.BigEndian.Uint16(h.ciphers)))
	a.SetList("alpn", h.protocols())
	a.Set("ja3s", h.ja3s())
	return list
}

// offered lists the versions by name, in the client's order; without the list of
// TLS 1.3 a client says its highest only.
func (h *hello) offered() []string {
	var list []string
	for _, v := range numbers(h.versions) {
		if name := versionNames[v]; name != "" && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	if name := versionNames[h.legacy]; list == nil && name != "" {
		list = []string{name}
	}
	return list
}

// protocols are the names of ALPN, without GREASE, which is not printable.
func (h *hello) protocols() []string {
	var list []string
	for _, p := range h.alpn {
		if printable(p) {
			list = append(list, dissector.Text(p, 64))
		}
	}
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

func printable(b []byte) bool {
	for _, x := range b {
		if x <= ' ' || x > '~' {
			return false
		}
	}
	return len(b) > 0
}

// serverName is the name in lower case where it looks like one, else "".
func serverName(b []byte) string {
	if len(b) > maxSNI {
		return ""
	}
	for _, x := range b {
		ok := x >= 'a' && x <= 'z' || x >= 'A' && x <= 'Z' || x >= '0' && x <= '9' || x == '.' || x == '-' || x == '_' || x == ':'
		if !ok {
			return ""
		}
	}
	return string(bytes.ToLower(b))
}
