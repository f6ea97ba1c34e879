package capture

import (
	"testing"

	"github.com/wardflow/wardflow/pkg/packet"
)

func TestReadStack(t *testing.T) {
	for name, c := range map[string]struct {
		ttl     uint8
		options string
		want    string // "" where it is not told
	}{
		"Windows":      {127, "\x02\x04\x05\xb4\x01\x03\x03\x08\x01\x01\x04\x02", "128 MNWNNS"},
		"Linux":        {64, "\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03\x03\x07", "64 MSTNW"},
		"macOS":        {60, "\x02\x04\x05\xb4\x01\x03\x03\x06\x01\x01\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x04\x02\x00\x00", "64 MNWNNTSEE"},
		"none":         {255, "", "255 -"},
		"fast open":    {64, "\x02\x04\x05\xb4\x22\x02\x01\x01", "64 MFNN"},
		"unknown":      {30, "\x02\x04\x05\xb4\xfd\x04\x00\x00", "32 M?"},
		"length 0":     {64, "\x02\x00\x05\xb4", ""},
		"too long":     {64, "\x02\x09\x05\xb4", ""},
		"cut":          {64, "\x01\x01\x01\x02", ""},
		"many fillers": {64, "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01", ""},
	} {
		h := packet.Headers{TTL: c.ttl, Header: append(make([]byte, 20), c.options...)}
		s, ok := readStack(&h)
		if got := s.String(); ok != (c.want != "") || (ok && got != c.want) {
			t.Errorf("%s: %q %v, want %q", name, got, ok, c.want)
		}
	}
	if _, ok := readStack(&packet.Headers{TTL: 64, Header: make([]byte, 16)}); ok {
		t.Error("a header that was cut is told")
	}
}
