package s7comm

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// The lists of the system's state that are read (Siemens, System Software for
// S7-300/400, System and Standard Functions, chapter 34).
const (
	listModule    = 0x0011
	listComponent = 0x001c
	listMode      = 0x0424
)

// list takes an answer with (a part of) a list:
//
//	data: return code, size, length (2), and in the first: id (2), index (2), length of a record (2), records (2)
func (s *stream) list(c *dissector.Context, d []byte, more bool) {
	if len(d) < 4 || d[0] != 0xff {
		s.szl = s.szl[:0]
		return
	}
	part := d[4:]
	if len(s.szl)+len(part) > maxList {
		c.Count("s7comm_list_long")
		s.szl = s.szl[:0]
		return
	}
	s.szl = append(s.szl, part...)
	if more {
		return
	}
	b := s.szl
	s.szl = s.szl[:0]
	if len(b) < 8 {
		return
	}
	id, size, count := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[4:])), int(binary.BigEndian.Uint16(b[6:]))
	b = b[8:]
	var records [][]byte
	for ; count > 0 && size >= 4 && len(b) >= size; count-- {
		records = append(records, b[:size])
		b = b[size:]
	}
	switch id & 0x0fff {
	case listModule, listModule | 0x100:
		s.module(c, records)
	case listComponent, listComponent | 0x100:
		s.component(c, records)
	case listMode:
		s.mode(c, records)
	}
}

const maxText = 64

// module reads order numbers and versions: records of index (2), order number
// (20), kind (2), version (4).
func (s *stream) module(c *dissector.Context, records [][]byte) {
	f := c.Fact("identity", "server")
	for _, r := range records {
		if len(r) < 28 {
			continue
		}
		order := dissector.Text(r[2:22], maxText)
		switch binary.BigEndian.Uint16(r) {
		case 1: // the module
			f.Attributes.Set("model", order)
			setMaker(&f, order)
		case 6: // its hardware
			if v := binary.BigEndian.Uint16(r[24:]); v > 0 {
				f.Attributes.Set("hardware_version", strconv.Itoa(int(v)))
			}
		case 7: // its firmware
			if r[24] == 'V' {
				f.Attributes.Set("firmware_version", strconv.Itoa(int(r[25]))+"."+strconv.Itoa(int(r[26]))+"."+strconv.Itoa(int(r[27])))
			}
		}
	}
	s.identity(c, &f)
}

// setMaker knows Siemens' order numbers.
func setMaker(f *dissector.Fact, order string) {
	for _, prefix := range []string{"6ES7", "6GK", "6AV", "6AG1", "6FC5", "6AU1"} {
		if strings.HasPrefix(order, prefix) {
			f.Attributes.Set("manufacturer", "Siemens")
		}
	}
}

// component reads names: records of index (2) and 32 bytes of text.
func (s *stream) component(c *dissector.Context, records [][]byte) {
	f := c.Fact("identity", "server")
	a := &f.Attributes
	for _, r := range records {
		if len(r) < 34 {
			continue
		}
		v := dissector.Text(r[2:34], maxText)
		switch binary.BigEndian.Uint16(r) & 0xff {
		case 1:
			a.Set("system_name", v)
		case 2:
			a.Set("module_name", v)
		case 4:
			if strings.Contains(v, "Siemens") {
				a.Set("manufacturer", "Siemens")
			}
		case 5:
			a.Set("serial", v)
		case 7:
			a.Set("product", v)
		case 11:
			a.Set("location", v)
		}
	}
	s.identity(c, &f)
}

// mode reads what the controller does: its operating state is in the fourth byte.
func (s *stream) mode(c *dissector.Context, records [][]byte) {
	if len(records) == 0 {
		return
	}
	v := ""
	switch records[0][3] & 15 {
	case 8:
		v = "run"
	case 1, 2, 3, 4, 5, 6, 7:
		v = "stop"
	}
	if v == "" || !s.news("state "+v) {
		return
	}
	f := c.Fact("state", "server")
	f.Attributes.Set("state", v)
	c.Emit(&f)
}

// identity tells what was read, once and when it changes.
func (s *stream) identity(c *dissector.Context, f *dissector.Fact) {
	if len(f.Attributes) < 2 {
		return
	}
	var b strings.Builder
	for _, a := range f.Attributes {
		b.WriteString(a.Name + "=" + a.Value + ";")
	}
	if s.news(b.String()) {
		c.Emit(f)
	}
}

// news reports whether text is not among the last things told.
func (s *stream) news(text string) bool {
	if slices.Contains(s.told, text) {
		return false
	}
	if len(s.told) == 8 {
		s.told = slices.Delete(s.told, 0, 1)
	}
	s.told = append(s.told, text)
	return true
}

// summary tells how often each function was asked for since the last one.
func (s *stream) summary(c *dissector.Context) { s.functions.Transactions(c, s.asked, "functions") }

// plusMessage takes a message of S7comm-plus. When a session is set up the
// controller says "1;6ES7 212-1BE31-0XB0 ;V3.0".
func (s *stream) plusMessage(c *dissector.Context, b []byte) {
	c.Sink.Inner("s7comm_plus")
	if s.plus++; s.plus > 2*plusLooked {
		if s.plus == 2*plusLooked+1 && s.functions.Empty() {
			c.Sink.Done()
		}
		return
	}
	i := bytes.Index(b, []byte(";6"))
	if i < 0 {
		return
	}
	text := b[i+1:]
	j := bytes.IndexByte(text, ';')
	if j < 0 || j > 32 {
		return
	}
	order, version := text[:j], text[j+1:]
	f := c.Fact("identity", "server")
	model := dissector.Text(order, maxText)
	setMaker(&f, model)
	if f.Attributes.Get("manufacturer") == "" {
		return
	}
	f.Attributes.Set("model", model)
	n := 0
	for n < len(version) && n < 12 && (version[n] >= '0' && version[n] <= '9' || version[n] == '.' || n == 0 && version[n] == 'V') {
		n++
	}
	if n > 1 {
		f.Attributes.Set("firmware_version", strings.TrimPrefix(dissector.Text(version[:n], maxText), "V"))
	}
	s.identity(c, &f)
}
