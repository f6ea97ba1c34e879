package proto

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// ErrCorrupt is wrapped by every decoding error of a malformed message.
var ErrCorrupt = errors.New("malformed message")

// limits on what a decoder believes: a hostile length costs nothing.
const (
	maxList  = 4096
	maxItems = 1 << 20
)

// writer writes fields and keeps the first error.
type writer struct {
	e   *msgpack.Encoder
	err error
}

func (w *writer) keep(err error) {
	if w.err == nil {
		w.err = err
	}
}
func (w *writer) array(n int)     { w.keep(w.e.EncodeArrayLen(n)) }
func (w *writer) uint(v uint64)   { w.keep(w.e.EncodeUint(v)) }
func (w *writer) int(v int64)     { w.keep(w.e.EncodeInt(v)) }
func (w *writer) bool(v bool)     { w.keep(w.e.EncodeBool(v)) }
func (w *writer) string(s string) { w.keep(w.e.EncodeString(s)) }
func (w *writer) bytes(b []byte) {
	if b == nil {
		w.keep(w.e.EncodeNil())
		return
	}
	w.keep(w.e.EncodeBytes(b))
}

func (w *writer) id(v ID) {
	if v.IsZero() {
		w.bytes(nil)
		return
	}
	w.bytes(v[:])
}

func (w *writer) mac(v MAC) {
	if v.IsZero() {
		w.bytes(nil)
		return
	}
	w.bytes(v[:])
}

func (w *writer) addr(a netip.Addr) {
	switch {
	case !a.IsValid():
		w.bytes(nil)
	case a.Is4() || a.Is4In6():
		b := a.Unmap().As4()
		w.bytes(b[:])
	default:
		b := a.As16()
		w.bytes(b[:])
	}
}

func (w *writer) strings(s []string) {
	w.array(len(s))
	for _, v := range s {
		w.string(v)
	}
}

func (w *writer) float(v float64) { w.keep(w.e.EncodeFloat64(v)) }

// reader reads the fields of one array and keeps the first error. left counts
// the fields that the message still has; a field beyond them reads as zero.
type reader struct {
	d    *msgpack.Decoder
	left int
	err  error
	buf  [64]byte
}

func (r *reader) fail(err error) {
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
}

// array opens the outer array.
func (r *reader) array() int {
	n, err := r.d.DecodeArrayLen()
	if err == nil && (n < 0 || n > maxItems) {
		err = fmt.Errorf("array of %d fields", n)
	}
	r.fail(err)
	r.left = n
	return n
}

func (r *reader) more() bool {
	if r.err != nil || r.left <= 0 {
		return false
	}
	r.left--
	return true
}

// inner reads the length of a nested array; the caller has asked more.
func (r *reader) inner() int {
	n, err := r.d.DecodeArrayLen()
	if err == nil && n > maxList {
		err = fmt.Errorf("list of %d", n)
	}
	r.fail(err)
	if r.err != nil {
		return 0
	}
	return max(n, 0)
}

// end skips what a newer writer added.
func (r *reader) end(int) {
	for r.more() {
		r.fail(r.d.Skip())
	}
}

func (r *reader) uint() uint64 {
	if !r.more() {
		return 0
	}
	v, err := r.d.DecodeUint64()
	r.fail(err)
	return v
}

func (r *reader) int() int64 {
	if !r.more() {
		return 0
	}
	v, err := r.d.DecodeInt64()
	r.fail(err)
	return v
}

func (r *reader) bool() bool {
	if !r.more() {
		return false
	}
	v, err := r.d.DecodeBool()
	r.fail(err)
	return v
}

func (r *reader) float() float64 {
	if !r.more() {
		return 0
	}
	v, err := r.d.DecodeFloat64()
	r.fail(err)
	return v
}

// raw reads a short binary field into the reader's own buffer.
func (r *reader) raw() []byte {
	n, err := r.d.DecodeBytesLen()
	if err == nil && n > len(r.buf) {
		err = fmt.Errorf("binary field of %d bytes", n)
	}
	r.fail(err)
	if r.err != nil || n <= 0 {
		return nil
	}
	b := r.buf[:n]
	r.fail(r.d.ReadFull(b))
	return b
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
		r.fail(fmt.Errorf("binary field of %d bytes, want %d", len(b), len(into)))
		return
	}
	copy(into, b)
}

func (r *reader) addr() netip.Addr {
	if !r.more() {
		return netip.Addr{}
	}
	b := r.raw()
	if b == nil {
		return netip.Addr{}
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		r.fail(fmt.Errorf("address of %d bytes", len(b)))
	}
	return a
}

// text reads a string field of a nested list.
func (r *reader) text() string {
	s, err := r.d.DecodeString()
	r.fail(err)
	return s
}

func (r *reader) string() string {
	if !r.more() {
		return ""
	}
	return r.text()
}

// words are the strings that fill most fields: protocol names, states, kinds.
// Reading one of them allocates nothing.
var words = map[string]string{}

func intern(list ...string) {
	for _, s := range list {
		words[s] = s
	}
}

func init() {
	intern("S0", "S1", "S2", "S3", "SF", "REJ", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH",
		ByContent, ByContext, ByPort, "unknown", "arp", "ndp", "dhcp", "dhcpv6", "dns", "mdns", "llmnr", "netbios",
		"ssdp", "ws_discovery", "lldp", "cdp", "http", "tls", "quic", "ssh", "ftp", "telnet", "smtp", "snmp", "ntp",
		"smb", "kerberos", "ldap", "rdp", "vnc", "syslog", "bacnet", "modbus", "hl7", "dicom", "poct1a", "astm",
		"sdc", "intellivue", "carescape", "icmp", "reply", "request", "query", "response", "ack", "discover", "offer")
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
	if r.err != nil {
		return ""
	}
	n, err := r.d.DecodeBytesLen()
	r.fail(err)
	if r.err != nil || n <= 0 {
		return ""
	}
	if n > len(r.buf) {
		if n > 1<<16 {
			r.fail(fmt.Errorf("text of %d bytes", n))
			return ""
		}
		b := make([]byte, n)
		r.fail(r.d.ReadFull(b))
		return string(b)
	}
	b := r.buf[:n]
	r.fail(r.d.ReadFull(b))
	if s, ok := words[string(b)]; ok {
		return s
	}
	return string(b)
}

func (r *reader) isArray() bool {
	if r.err != nil {
		return false
	}
	c, err := r.d.PeekCode()
	r.fail(err)
	return err == nil && (msgpcode.IsFixedArray(c) || c == msgpcode.Array16 || c == msgpcode.Array32)
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

func marshalList[T any](s []T) ([]byte, error) {
	if len(s) == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal(s)
}
