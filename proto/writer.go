package proto

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
)

// writer appends fields and keeps the first error.
type writer struct {
	b   []byte
	err error
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *writer) array(n int) {
	switch {
	case n < 16:
		w.b = append(w.b, 0x90|byte(n))
	case n <= math.MaxUint16:
		w.b = binary.BigEndian.AppendUint16(append(w.b, mpArray16), uint16(n))
	default:
		w.b = binary.BigEndian.AppendUint32(append(w.b, mpArray32), uint32(n))
	}
}

func (w *writer) uint(v uint64) {
	switch {
	case v < 128:
		w.b = append(w.b, byte(v))
	case v <= math.MaxUint8:
		w.b = append(w.b, mpUint8, byte(v))
	case v <= math.MaxUint16:
		w.b = binary.BigEndian.AppendUint16(append(w.b, mpUint16), uint16(v))
	case v <= math.MaxUint32:
		w.b = binary.BigEndian.AppendUint32(append(w.b, mpUint32), uint32(v))
	default:
		w.b = binary.BigEndian.AppendUint64(append(w.b, mpUint64), v)
	}
}

func (w *writer) int(v int64) {
	switch {
	case v >= 0:
		w.uint(uint64(v))
	case v >= -32:
		w.b = append(w.b, byte(v))
	case v >= math.MinInt32:
		w.b = binary.BigEndian.AppendUint32(append(w.b, mpInt32), uint32(v))
	default:
		w.b = binary.BigEndian.AppendUint64(append(w.b, mpInt64), uint64(v))
	}
}

func (w *writer) bool(v bool) {
	if v {
		w.b = append(w.b, mpTrue)
	} else {
		w.b = append(w.b, mpFalse)
	}
}

func (w *writer) float(v float64) {
	w.b = binary.BigEndian.AppendUint64(append(w.b, mpFloat64), math.Float64bits(v))
}

func (w *writer) string(s string) {
	switch n := len(s); {
	case n < 32:
		w.b = append(w.b, 0xa0|byte(n))
	case n <= math.MaxUint8:
		w.b = append(w.b, mpStr8, byte(n))
	case n <= maxText:
		w.b = binary.BigEndian.AppendUint32(append(w.b, mpStr32), uint32(n))
	default:
		w.fail(fmt.Errorf("text of %d bytes, at most %d can be sent", n, maxText))
	}
	w.b = append(w.b, s...)
}

// bytes writes a short binary field; nil is "none".
func (w *writer) bytes(b []byte) {
	if b == nil {
		w.b = append(w.b, mpNil)
		return
	}
	w.b = append(append(w.b, mpBin8, byte(len(b))), b...)
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
