package cotp_test

import (
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/cotp"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

var unhex = dissecttest.Hex

func TestRead(t *testing.T) {
	m := cotp.Read(unhex("03000016 11 e0 0000 0001 00 c1 02 0100 c2 02 0102 c0 01 0a"))
	if m.Code != cotp.Connect || string(m.Called) != "\x01\x02" || string(m.Calling) != "\x01\x00" || m.Foreign || len(m.User) > 0 {
		t.Errorf("%+v", m)
	}
	if m := cotp.Read(unhex("03000009 02 f0 00 aabb")); m.Code != cotp.Data || !m.More || string(m.User) != "\xaa\xbb" {
		t.Errorf("%+v", m)
	}
	if m := cotp.Read(unhex("03000012 0d e0 0000 0000 00 01 00 0800 03000000")); !m.Foreign {
		t.Errorf("a negotiation of RDP's: %+v", m)
	}
}

func TestWalk(t *testing.T) {
	whole := unhex("03000007 02 f0 80 03000009 02 f0 80 aabb")
	for n, want := range map[int][3]bool{ // how many bytes: whole, valid, stopped at the second
		len(whole): {true, true, true},
		7:          {true, true, false},
		9:          {false, true, false},
		3:          {false, true, false},
	} {
		stopped := false
		a, b := cotp.Walk(whole[:n], func(m cotp.Message) bool {
			stopped = len(m.User) > 0
			return stopped
		})
		if got := [3]bool{a, b, stopped}; got != want {
			t.Errorf("%d bytes: %v, want %v", n, got, want)
		}
	}
	for _, s := range []string{"04000007 02 f0 80", "03000006 01 f0", "03000007 02 10 80 05", "03000007 09 f0 80", "03000007 02 20 80"} {
		if _, valid := cotp.Walk(unhex(s), func(cotp.Message) bool { return false }); valid && s != "03000007 02 10 80 05" {
			t.Errorf("%s is taken for TPKT", s)
		}
	}
}

func FuzzWalk(f *testing.F) {
	f.Add(unhex("03000016 11 e0 0000 0001 00 c1 02 0100 c2 02 0102 c0 01 0a 03000007 02 f0 80"))
	f.Fuzz(func(t *testing.T, b []byte) {
		cotp.Walk(b, func(m cotp.Message) bool { return len(m.User) > 9 })
	})
}
