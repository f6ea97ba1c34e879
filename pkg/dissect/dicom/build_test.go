package dicom_test

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

// The builders below write PDUs and data sets as PS3.8 and PS3.5 lay them out.

const (
	implicitLE = "1.2.840.10008.1.2"
	explicitLE = "1.2.840.10008.1.2.1"
	explicitBE = "1.2.840.10008.1.2.2"
	deflatedLE = "1.2.840.10008.1.2.1.99"
	ctStorage  = "1.2.840.10008.5.1.4.1.1.2"
	mpps       = "1.2.840.10008.3.1.2.3.3"
)

func be16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
func be32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func pdu(kind byte, body ...[]byte) []byte {
	b := slices.Concat(body...)
	return slices.Concat([]byte{kind, 0}, be32(len(b)), b)
}

func item(kind byte, body ...[]byte) []byte {
	b := slices.Concat(body...)
	return slices.Concat([]byte{kind, 0}, be16(len(b)), b)
}

func ae(s string) []byte { return []byte((s + strings.Repeat(" ", 16))[:16]) }

// proposal is a presentation context of a request; its number follows from its place.
type proposal struct {
	abstract string
	transfer []string
}

func request(list []proposal) []byte {
	body := [][]byte{be16(1), be16(0), ae("PACS"), ae("CT1"), make([]byte, 32), item(0x10, []byte("1.2.840.10008.3.1.1.1"))}
	for i, p := range list {
		parts := [][]byte{{byte(2*i + 1), 0, 0, 0}, item(0x30, []byte(p.abstract))}
		for _, t := range p.transfer {
			parts = append(parts, item(0x40, []byte(t)))
		}
		body = append(body, item(0x20, parts...))
	}
	return pdu(1, append(body, item(0x50, item(0x51, be32(16384)), item(0x52, []byte("1.2.3.4")), item(0x55, []byte("VENDOR_1")),
		item(0x58, []byte{2, 0}, be16(8), []byte("jcanary1"), be16(9), []byte("secretpwd"))))...)
}

// accept accepts the contexts with the given transfer syntaxes, "" refuses one.
func accept(transfer ...string) []byte {
	body := [][]byte{be16(1), be16(0), ae("PACS"), ae("CT1"), make([]byte, 32), item(0x10, []byte("1.2.840.10008.3.1.1.1"))}
	for i, t := range transfer {
		result := byte(0)
		if t == "" {
			result, t = 3, implicitLE
		}
		body = append(body, item(0x21, []byte{byte(2*i + 1), 0, result, 0}, item(0x40, []byte(t))))
	}
	return pdu(2, append(body, item(0x50, item(0x51, be32(16384)), item(0x52, []byte("1.9.9")), item(0x55, []byte("SERVER_2"))))...)
}

// pdvs carries b in fragments of at most size bytes, one a PDU.
func pdvs(ctx int, command bool, b []byte, size int) []byte {
	var out []byte
	for {
		n := min(size, len(b))
		flags := byte(0)
		if command {
			flags |= 1
		}
		if n == len(b) {
			flags |= 2
		}
		out = append(out, pdu(4, be32(n+2), []byte{byte(ctx), flags}, b[:n])...)
		if b = b[n:]; len(b) == 0 {
			return out
		}
	}
}

// enc writes data sets in one encoding.
type enc struct {
	order    binary.AppendByteOrder
	explicit bool
}

var (
	impl = enc{binary.LittleEndian, false}
	expl = enc{binary.LittleEndian, true}
	expb = enc{binary.BigEndian, true}
)

func (e enc) tag(t uint32) []byte {
	return e.order.AppendUint16(e.order.AppendUint16(nil, uint16(t>>16)), uint16(t))
}

func (e enc) head(t uint32, vr string, size uint32) []byte {
	b := e.tag(t)
	switch {
	case !e.explicit, t>>16 == 0xfffe:
		return e.order.AppendUint32(b, size)
	case slices.Contains([]string{"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}, vr):
		return e.order.AppendUint32(append(append(b, vr...), 0, 0), size)
	}
	return e.order.AppendUint16(append(b, vr...), uint16(size))
}

// el is one element, padded to an even length.
func (e enc) el(t uint32, vr, value string) []byte {
	if len(value)%2 == 1 {
		value += map[bool]string{true: "\x00", false: " "}[vr == "UI"]
	}
	return append(e.head(t, vr, uint32(len(value))), value...)
}

// seq is a sequence of one item, with lengths or with delimiters.
func (e enc) seq(t uint32, defined bool, body ...[]byte) []byte {
	b := slices.Concat(body...)
	if defined {
		in := append(e.head(0xfffee000, "", uint32(len(b))), b...)
		return append(e.head(t, "SQ", uint32(len(in))), in...)
	}
	return slices.Concat(e.head(t, "SQ", 0xffffffff), e.head(0xfffee000, "", 0xffffffff), b, e.head(0xfffee00d, "", 0), e.head(0xfffee0dd, "", 0))
}

// cmd is a command set: field, class, instance, and whether a data set follows.
func cmd(field int, class, instance string, data bool, more ...[]byte) []byte {
	us := func(n int) string { return string(binary.LittleEndian.AppendUint16(nil, uint16(n))) }
	kind := 0x0101
	if data {
		kind = 1
	}
	classTag, instanceTag := uint32(0x0002), uint32(0x1000)
	if field == 0x0120 {
		classTag, instanceTag = 0x0003, 0x1001
	}
	body := slices.Concat(impl.el(classTag, "UI", class), impl.el(0x0100, "US", us(field)), impl.el(0x0110, "US", us(1)), impl.el(0x0800, "US", us(kind)))
	body = slices.Concat(append([][]byte{body}, more...)...)
	if instance != "" {
		body = append(body, impl.el(instanceTag, "UI", instance)...)
	}
	return append(impl.el(0, "UL", string(binary.LittleEndian.AppendUint32(nil, uint32(len(body))))), body...)
}

func status(n int) []byte {
	return impl.el(0x0900, "US", string(binary.LittleEndian.AppendUint16(nil, uint16(n))))
}

// conv alternates between the sides, the client first.
func conv(parts ...[]byte) dissecttest.Conversation {
	var c dissecttest.Conversation
	for i, p := range parts {
		if len(p) > 0 {
			c = append(c, dissecttest.Chunk{Side: i % 2, Data: p})
		}
	}
	return c
}
