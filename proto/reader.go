package proto

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
)

// reader reads the fields of one array and keeps the first error. left counts
// the fields that the message still has; a field beyond them reads as zero.
type reader struct {
	b    []byte
	left int
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

var errEnd = fmt.Errorf("%w: it ends too soon", ErrCorrupt)

// take gives the next n bytes.
func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		if r.err == nil {
			r.err = errEnd
		}
		r.b = nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) code() byte {
	b := r.take(1)
	if b == nil {
		return mpNil
	}
	return b[0]
}

func (r *reader) big(n int) uint64 {
	b := r.take(n)
	if b == nil {
		return 0
	}
	switch n {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	}
	return binary.BigEndian.Uint64(b)
}

// arrayLen reads an array header.
func (r *reader) arrayLen() int {
	n := -1
	switch c := r.code(); {
	case c&0xf0 == 0x90:
		n = int(c & 15)
	case c == mpArray16:
		n = int(r.big(2))
	case c == mpArray32:
		n = int(r.big(4))
	case r.err == nil:
		r.fail("want a list, got type %#x", c)
	}
	if n > len(r.b) || n > maxItems { // every element takes a byte
		r.fail("list of %d elements in %d bytes", n, len(r.b))
	}
	if r.err != nil {
		return 0
	}
	return n
}

// array opens the outer array of a message.
func (r *reader) array() { r.left = r.arrayLen() }

// inner reads the length of a nested list.
func (r *reader) inner() int {
	n := r.arrayLen()
	if n > maxList {
		r.fail("list of %d elements", n)
		return 0
	}
	return n
}

// nested opens an array inside the message, with a field count of its own.
func (r *reader) nested(f func(*reader)) {
	in := reader{b: r.b}
	f(&in)
	r.b = in.b
	if r.err == nil {
		r.err = in.err
	}
}

// optional opens an array inside the message where there is one, nil being none;
// whoever has read it gives it back to close.
func (r *reader) optional() (in reader, found bool) {
	if !r.more() {
		return reader{}, false
	}
	if len(r.b) > 0 && r.b[0] == mpNil {
		r.b = r.b[1:]
		return reader{}, false
	}
	in = reader{b: r.b}
	in.array()
	return in, true
}

func (r *reader) close(in *reader) {
	in.end()
	r.b = in.b
	if r.err == nil {
		r.err = in.err
	}
}

func (r *reader) more() bool {
	if r.err != nil || r.left <= 0 {
		return false
	}
	r.left--
	return true
}

// end skips what a newer writer added.
func (r *reader) end() {
	for r.more() {
		r.skip(maxDepth)
	}
}

func (r *reader) uint() uint64 {
	if !r.more() {
		return 0
	}
	return uint64(r.number())
}

func (r *reader) int() int64 {
	if !r.more() {
		return 0
	}
	return r.number()
}

func (r *reader) number() int64 {
	switch c := r.code(); c {
	case mpUint8:
		return int64(r.big(1))
	case mpUint16:
		return int64(r.big(2))
	case mpUint32:
		return int64(r.big(4))
	case mpUint64, mpInt64:
		return int64(r.big(8))
	case mpInt8:
		return int64(int8(r.big(1)))
	case mpInt16:
		return int64(int16(r.big(2)))
	case mpInt32:
		return int64(int32(r.big(4)))
	default:
		if c < 0x80 {
			return int64(c)
		}
		if c >= 0xe0 {
			return int64(int8(c))
		}
		if r.err == nil {
			r.fail("want a number, got type %#x", c)
		}
		return 0
	}
}

func (r *reader) bool() bool {
	if !r.more() {
		return false
	}
	switch c := r.code(); c {
	case mpTrue:
		return true
	case mpFalse:
	default:
		if r.err == nil {
			r.fail("want true or false, got type %#x", c)
		}
	}
	return false
}

func (r *reader) float() float64 {
	if !r.more() {
		return 0
	}
	switch c := r.code(); c {
	case mpFloat64:
		return math.Float64frombits(r.big(8))
	case mpFloat32:
		return float64(math.Float32frombits(uint32(r.big(4))))
	default:
		if r.err == nil {
			r.fail("want a fraction, got type %#x", c)
		}
	}
	return 0
}

// raw reads a binary or text field; the bytes alias the message.
func (r *reader) raw() []byte {
	c := r.code()
	n := 0
	switch {
	case c&0xe0 == 0xa0:
		n = int(c & 31)
	case c == mpNil:
		return nil
	case c == mpBin8 || c == mpStr8:
		n = int(r.big(1))
	case c == mpBin16 || c == mpStr16:
		n = int(r.big(2))
	case c == mpBin32 || c == mpStr32:
		n = int(r.big(4))
	default:
		if r.err == nil {
			r.fail("want text or bytes, got type %#x", c)
		}
		return nil
	}
	if n > maxText {
		r.fail("text of %d bytes", n)
		return nil
	}
	return r.take(n)
}

func (r *reader) fixed(into []byte) {
	if !r.more() {
		return
	}
	b := r.raw()
	if b == nil {
		return
	}
	if len(b) != len(into) {
		r.fail("binary field of %d bytes, want %d", len(b), len(into))
		return
	}
	copy(into, b)
}

func (r *reader) addr() netip.Addr {
	if !r.more() {
		return netip.Addr{}
	}
	return r.address()
}

func (r *reader) address() netip.Addr {
	b := r.raw()
	if b == nil {
		return netip.Addr{}
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		r.fail("address of %d bytes", len(b))
	}
	return a
}

// text reads a string of a nested list.
func (r *reader) text() string { return string(r.raw()) }

func (r *reader) string() string {
	if !r.more() {
		return ""
	}
	return r.text()
}

// words are the strings that fill most fields: protocol names, states, kinds.
// Reading one of them allocates nothing.
var words = map[string]string{}

func init() {
	for _, s := range []string{
		"S0", "S1", "S2", "S3", "SF", "REJ", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH",
		ByContent, ByContext, ByPort, "unknown", "arp", "ndp", "dhcp", "dhcpv6", "dns", "mdns", "llmnr", "netbios",
		"ssdp", "ws_discovery", "lldp", "cdp", "http", "tls", "quic", "ssh", "ftp", "telnet", "smtp", "snmp", "ntp",
		"smb", "kerberos", "ldap", "rdp", "vnc", "syslog", "bacnet", "modbus", "hl7", "dicom", "poct1a", "astm",
		"sdc", "intellivue", "carescape", "icmp", "reply", "request", "query", "response", "ack", "discover", "offer",
		BySrc, ByDst, PathAsymmetric, PathTwo, PathSrcNAT, PathDstNAT,
		LiveDomain, KindSummary, KindProgress, KindClaim, KindGrouping, KindNested, KindBinding, KindDevice, KindDetection, KindAlert, KindRisk, KindRollup, KindUsage, "completed", "discontinued",
	} {
		words[s] = s
	}
}

// word reads a string field, without allocating where it is a common one.
func (r *reader) word() string {
	if !r.more() {
		return ""
	}
	return r.name()
}

// name is word for a string inside a nested list.
func (r *reader) name() string {
	b := r.raw()
	if s, ok := words[string(b)]; ok {
		return s
	}
	return string(b)
}

func (r *reader) isArray() bool {
	return len(r.b) > 0 && (r.b[0]&0xf0 == 0x90 || r.b[0] == mpArray16 || r.b[0] == mpArray32)
}

// list reads a nested list of strings.
func (r *reader) list() []string {
	n := r.inner()
	if n == 0 {
		return nil
	}
	s := make([]string, 0, min(n, 64))
	for range n {
		s = append(s, r.text())
		if r.err != nil {
			return nil
		}
	}
	return s
}

func (r *reader) strings() []string {
	if !r.more() {
		return nil
	}
	return r.list()
}

// skip passes one value of any type.
func (r *reader) skip(depth int) {
	if depth == 0 {
		r.fail("nested too deep")
		return
	}
	if r.err != nil || len(r.b) == 0 {
		r.take(1)
		return
	}
	c := r.b[0]
	switch {
	case c < 0x80 || c >= 0xe0 || (c >= mpUint8 && c <= mpInt64):
		r.number()
	case c == mpNil || c == mpTrue || c == mpFalse:
		r.take(1)
	case c == mpFloat32:
		r.take(5)
	case c == mpFloat64:
		r.take(9)
	case r.isArray():
		for n := r.arrayLen(); n > 0 && r.err == nil; n-- {
			r.skip(depth - 1)
		}
	case c&0xf0 == 0x80 || c == mpMap16 || c == mpMap32:
		for n := r.mapLen(); n > 0 && r.err == nil; n-- {
			r.skip(depth - 1)
			r.skip(depth - 1)
		}
	default:
		r.raw()
	}
}

func (r *reader) mapLen() int {
	switch c := r.code(); c {
	case mpMap16:
		return int(r.big(2))
	case mpMap32:
		return int(r.big(4))
	default:
		return int(c & 15)
	}
}
