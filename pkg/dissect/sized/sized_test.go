package sized

import (
	"fmt"
	"slices"
	"testing"
)

// size: a byte n, then n bytes; 0xff is none. A first byte of 0xfe has two more of length.
func size(b []byte) int64 {
	switch {
	case len(b) == 0:
		return 0
	case b[0] == 0xff:
		return -1
	case b[0] == 0xfe && len(b) < 3:
		return 0
	case b[0] == 0xfe:
		return 3 + int64(b[1])<<8 + int64(b[2])
	}
	return 1 + int64(b[0])
}

func read(r *Reader, b []byte, limit int) (out []string) {
	for len(b) > 0 && !r.Lost {
		var m []byte
		var whole bool
		var s Status
		if m, b, whole, s = r.Next(b, limit, size); s == Message {
			out = append(out, fmt.Sprintf("%x %v", m, whole))
		} else if s == Bad {
			out = append(out, "bad")
		}
	}
	return out
}

func TestNext(t *testing.T) {
	for _, tc := range []struct {
		in   []byte
		want []string
	}{
		{[]byte{1, 7, 0, 2, 8, 9}, []string{"0107 true", "00 true", "020809 true"}},
		{[]byte{0xfe, 0, 1, 7, 1, 7}, []string{"fe000107 true", "0107 true"}},
		{[]byte{6, 1, 2, 3, 4, 5, 6, 1, 7}, []string{"0601020304 false", "0107 true"}},
		{[]byte{1, 7, 0xff, 1}, []string{"0107 true", "bad"}},
		{[]byte{3, 1}, nil},
	} {
		for cut := range len(tc.in) + 1 {
			var r Reader
			got := append(read(&r, tc.in[:cut], 5), read(&r, tc.in[cut:], 5)...)
			if !slices.Equal(got, tc.want) {
				t.Errorf("%x cut at %d: %q, want %q", tc.in, cut, got, tc.want)
			}
		}
		var r Reader
		var got []string
		for _, x := range tc.in {
			got = append(got, read(&r, []byte{x}, 5)...)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%x byte by byte: %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestGap(t *testing.T) {
	for _, tc := range []struct {
		before []byte
		gap    int64
		after  []byte
		want   []string
		lost   bool
	}{
		{[]byte{5, 1, 2}, 2, []byte{5, 1, 7}, []string{"0107 true"}, false},
		{[]byte{5, 1, 2}, 3, []byte{1, 7}, []string{"0107 true"}, false},
		{[]byte{5, 1, 2}, 4, []byte{1, 7}, nil, true},
		{[]byte{1, 7}, 1, []byte{1, 7}, []string{"0107 true"}, true},
		{[]byte{5, 1}, -1, nil, nil, true},
	} {
		var r Reader
		got := read(&r, tc.before, 100)
		r.Gap(tc.gap)
		if got = append(got, read(&r, tc.after, 100)...); !slices.Equal(got, tc.want) || r.Lost != tc.lost {
			t.Errorf("%x gap %d %x: %q %v", tc.before, tc.gap, tc.after, got, r.Lost)
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add([]byte{1, 7, 0xfe, 0, 1, 7, 9, 9}, 3, int64(2))
	f.Fuzz(func(t *testing.T, b []byte, cut int, gap int64) {
		cut = max(0, min(cut, len(b)))
		var one, two, three Reader
		want := read(&one, b, 5)
		if got := append(read(&two, b[:cut], 5), read(&two, b[cut:], 5)...); !slices.Equal(got, want) || two.Size() > 64+16 {
			t.Fatalf("%q, want %q", got, want)
		}
		read(&three, b[:cut], 5)
		three.Gap(gap)
		read(&three, b[cut:], 5)
	})
}
