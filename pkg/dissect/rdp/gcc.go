package rdp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/wardflow/wardflow/pkg/dissect/banner"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Blocks of the conference messages (MS-RDPBCGR 2.2.1.3, 2.2.1.4), each with a type and
// its own length, its head included.
const (
	csCore     = 0xc001
	csSecurity = 0xc002
	csNet      = 0xc003
	scCore     = 0x0c01
	scSecurity = 0x0c02
	maxBlocks  = 32
	maxNet     = 31
)

// The keys of T.124 that stand before the blocks.
var (
	clientKey = []byte("Duca")
	serverKey = []byte("McDn")
)

// blocks calls yield with the blocks behind a key, which a length of one or two bytes
// follows (PER).
func blocks(m, key []byte, yield func(kind uint16, b []byte)) {
	_, b, ok := bytes.Cut(m, key)
	if !ok || len(b) < 2 {
		return
	}
	if b[0]&0x80 != 0 {
		b = b[2:]
	} else {
		b = b[1:]
	}
	for range maxBlocks {
		if len(b) < 4 {
			return
		}
		kind, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if n < 4 {
			return
		}
		yield(kind, b[4:min(n, len(b))])
		b = b[min(n, len(b)):]
	}
}

// clientData tells what the client says of itself in its MCS connect initial.
func clientData(c *dissector.Context, m []byte) {
	f := dissector.Fact{Kind: "client", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "client")
	blocks(m, clientKey, func(kind uint16, b []byte) {
		switch kind {
		case csCore:
			core(a, b)
		case csSecurity:
			if len(b) >= 4 {
				a.SetList("encryption_methods", methods(binary.LittleEndian.Uint32(b)))
			}
		case csNet:
			a.SetList("channels", channels(b))
		}
	})
	c.Emit(&f)
}

// core reads the client's core data (MS-RDPBCGR 2.2.1.3.2):
//
//	0 version (4) | 4 width height depth sequence (2 each) | 12 keyboard (4) | 16 build (4) | 20 name (32) | ... | 142 digital product id (64)
func core(a *proto.Attributes, b []byte) {
	if len(b) < 52 {
		return
	}
	a.Set("rdp_version", version(binary.LittleEndian.Uint32(b)))
	a.Set("client_build", strconv.Itoa(int(binary.LittleEndian.Uint32(b[16:]))))
	if name := wide(b[20:52]); banner.Host([]byte(name), true) != "" {
		a.Set("computer_name", name)
	}
	if len(b) >= 206 {
		if id := wide(b[142:206]); productID(id) {
			a.Set("product_id", id)
		}
	}
}

// productID holds for "55274-OEM-0011903-00107" and for a GUID: groups of digits and
// capitals, or of hexadecimal digits.
func productID(s string) bool {
	digits := len(s) - len(strings.NewReplacer("0", "", "1", "", "2", "", "3", "", "4", "", "5", "", "6", "", "7", "", "8", "", "9", "").Replace(s))
	return strings.Count(s, "-") >= 2 && digits >= 8 && (strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == "" || strings.Trim(s, "abcdef0123456789-") == "")
}

// wide is UTF-16LE up to a zero.
func wide(b []byte) string {
	var u []uint16
	for ; len(b) >= 2; b = b[2:] {
		v := binary.LittleEndian.Uint16(b)
		if v == 0 {
			break
		}
		u = append(u, v)
	}
	return dissector.Text([]byte(string(utf16.Decode(u))), 64)
}

// versions of RDP by the client's or server's number (MS-RDPBCGR 2.2.1.3.2).
func version(v uint32) string {
	switch minor := v & 0xffff; {
	case v>>16 != 8:
		return ""
	case minor == 1:
		return "4.0"
	case minor == 4:
		return "5.0-8.1"
	case minor >= 5 && minor <= 0x20:
		return fmt.Sprintf("10.%d", minor-5)
	}
	return ""
}

var methodNames = []struct {
	bit  uint32
	name string
}{{1, "40bit"}, {8, "56bit"}, {2, "128bit"}, {16, "fips"}}

func methods(v uint32) []string {
	var list []string
	for _, m := range methodNames {
		if v&m.bit != 0 {
			list = append(list, m.name)
		}
	}
	return list
}

// channels reads the names of virtual channels: count (4), then name (8) and options
// (4) each. A program may invent one; only the usual ones are told.
func channels(b []byte) []string {
	if len(b) < 4 {
		return nil
	}
	n := min(binary.LittleEndian.Uint32(b), maxNet)
	var list []string
	for b = b[4:]; n > 0 && len(b) >= 12; n, b = n-1, b[12:] {
		name := strings.ToLower(string(bytes.TrimRight(b[:8], "\x00")))
		if !slices.Contains(channelNames, name) {
			name = "other"
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

var channelNames = []string{"rdpdr", "rdpsnd", "cliprdr", "drdynvc", "snddbg", "rdpdbg", "rail", "rail_wi", "rail_ri", "encomsp", "remdesk", "tsmf", "ctxcal", "seamrdp", "ms_t120"}

var levels = [...]string{"none", "low", "client_compatible", "high", "fips"}

// serverData tells what the server says of itself in its MCS connect response.
func serverData(c *dissector.Context, m []byte) {
	f := dissector.Fact{Kind: "server", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	blocks(m, serverKey, func(kind uint16, b []byte) {
		switch {
		case kind == scCore && len(b) >= 4:
			a.Set("rdp_version", version(binary.LittleEndian.Uint32(b)))
		case kind == scSecurity && len(b) >= 8:
			security(a, b)
		}
	})
	c.Emit(&f)
}

// security reads the server's security data (MS-RDPBCGR 2.2.1.4.3):
//
//	method (4) | level (4) | length of its random (4) | of its certificate (4) | random | certificate: version (4), ...
func security(a *proto.Attributes, b []byte) {
	method, level := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	name := "none"
	if list := methods(method); len(list) > 0 {
		name = list[0]
	}
	a.Set("encryption_method", name)
	if int(level) < len(levels) {
		a.Set("encryption_level", levels[level])
	}
	if method != 0 && level != 0 {
		a.Set("legacy", "true") // RDP's own encryption: RC4, or a fixed key
	}
	if len(b) < 16 {
		return
	}
	random, size := binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])
	if at := uint64(16) + uint64(random); size >= 4 && at+4 <= uint64(len(b)) {
		a.Set("certificate_type", map[uint32]string{1: "proprietary", 2: "x509"}[binary.LittleEndian.Uint32(b[at:])&0x7fffffff])
	}
}
