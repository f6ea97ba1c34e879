package hl7

import (
	"bytes"
	"strconv"
)

// unescape resolves the escape sequences of v (HL7 v2.9 2.7).
func (m *message) unescape(v []byte) []byte {
	out := make([]byte, 0, len(v))
	for len(v) > 0 {
		i := bytes.IndexByte(v, m.esc)
		if i < 0 {
			return append(out, v...)
		}
		out = append(out, v[:i]...)
		v = v[i+1:]
		j := bytes.IndexByte(v, m.esc)
		if j < 0 {
			return out // cut off
		}
		out = append(out, m.escape(v[:j])...)
		v = v[j+1:]
	}
	return out
}

// escape is what one sequence stands for; formatting stands for nothing.
func (m *message) escape(s []byte) []byte {
	if len(s) == 0 {
		return nil
	}
	switch s[0] {
	case 'F':
		return []byte{m.sep}
	case 'S':
		return []byte{m.comp}
	case 'T':
		return []byte{m.sub}
	case 'R':
		return []byte{m.rep}
	case 'E':
		return []byte{m.esc}
	case 'X':
		var out []byte
		for h := s[1:]; len(h) >= 2; h = h[2:] {
			x, err := strconv.ParseUint(string(h[:2]), 16, 8)
			if err != nil {
				return nil
			}
			out = append(out, byte(x))
		}
		return out
	}
	return nil
}
