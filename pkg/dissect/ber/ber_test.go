package ber

import (
	"bytes"
	"testing"
)

func TestNext(t *testing.T) {
	for _, tc := range []struct {
		in    []byte
		class uint8
		tag   uint32
		body  []byte
		ok    bool
	}{
		{[]byte{2, 1, 5}, Universal, Integer, []byte{5}, true},
		{[]byte{0x6a, 2, 5, 0}, Application, 10, []byte{5, 0}, true},
		{[]byte{0xa1, 0x81, 1, 9}, Context, 1, []byte{9}, true},
		{[]byte{0x30, 0x84, 0, 0, 0, 1, 9}, Universal, Sequence, []byte{9}, true},
		{[]byte{0x7f, 0x65, 1, 9}, Application, 101, []byte{9}, true},
		{[]byte{0x9f, 0x87, 0x65, 1, 9}, Context, 7<<7 | 0x65, []byte{9}, true},
		{[]byte{2, 2, 5}, 0, 0, nil, false},
		{[]byte{0x30, 0x80, 0, 0}, 0, 0, nil, false},
		{[]byte{0x30, 0x85, 0, 0, 0, 0, 0}, 0, 0, nil, false},
		{[]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, 0, 0, nil, false},
		{[]byte{0x1f, 0xff, 0xff, 0xff, 0xff, 0xff}, 0, 0, nil, false},
		{[]byte{2}, 0, 0, nil, false},
		{nil, 0, 0, nil, false},
	} {
		v, _, ok := Next(tc.in)
		if ok != tc.ok || v.Class != tc.class || v.Tag != tc.tag || !bytes.Equal(v.Body, tc.body) {
			t.Errorf("%x: %+v %v", tc.in, v, ok)
		}
	}
}

func TestValues(t *testing.T) {
	for in, want := range map[string]int64{"\x05": 5, "\xff": -1, "\x00\xff": 255, "\x7f\xff\xff\xff": 1<<31 - 1} {
		if n, ok := (Value{Body: []byte(in)}).Int(); !ok || n != want {
			t.Errorf("%x: %d %v", in, n, ok)
		}
	}
	if _, ok := (Value{Body: make([]byte, 9)}).Int(); ok {
		t.Error("nine bytes are no number")
	}
	list := []byte{0xa0, 3, 2, 1, 5, 0xa1, 3, 2, 1, 10}
	if v, ok := Field(list, 1); !ok || v.Body[0] != 10 {
		t.Error(v, ok)
	}
	if _, ok := Field(list, 2); ok {
		t.Error("there is none")
	}
	if Each(list[:7], func(Value) bool { return true }) {
		t.Error("the second is cut")
	}
}

func FuzzNext(f *testing.F) {
	f.Add([]byte{0xa0, 3, 2, 1, 5, 0x7f, 0x65, 1, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		Each(b, func(v Value) bool {
			n += len(v.Body)
			Field(v.Body, 1)
			return true
		})
		if n > len(b) {
			t.Fatal("more than there is")
		}
	})
}
