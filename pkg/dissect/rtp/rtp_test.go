package rtp_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
)

func rtp(kind byte, seq uint16, ssrc uint32) []byte {
	b := append([]byte{0x80, kind}, binary.BigEndian.AppendUint16(nil, seq)...)
	b = binary.BigEndian.AppendUint32(b, 160*uint32(seq))
	return append(binary.BigEndian.AppendUint32(b, ssrc), make([]byte, 160)...)
}

var stun = append([]byte{0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 0, 6, 0, 3, 'a', 'b', 'c', 0)

func TestLabels(t *testing.T) {
	report := []byte{0x80, 201, 0, 1, 1, 2, 3, 4, 0x81, 202, 0, 2, 1, 2, 3, 4, 1, 2, 'a', 'b'}
	for name, tc := range map[string]struct {
		list [][]byte
		want string
	}{
		"two in order":               {[][]byte{rtp(0, 7, 9), rtp(0, 8, 9)}, "rtp"},
		"over the end of numbers":    {[][]byte{rtp(96, 65535, 9), rtp(96, 0, 9)}, "rtp"},
		"one lost":                   {[][]byte{rtp(8, 7, 9), rtp(8, 9, 9)}, "rtp"},
		"one":                        {[][]byte{rtp(0, 7, 9)}, ""},
		"another source":             {[][]byte{rtp(0, 7, 9), rtp(0, 8, 10)}, ""},
		"the same again":             {[][]byte{rtp(0, 7, 9), rtp(0, 7, 9)}, ""},
		"backwards":                  {[][]byte{rtp(0, 9, 9), rtp(0, 8, 9)}, ""},
		"a type that is RTCP's":      {[][]byte{rtp(72, 7, 9), rtp(72, 8, 9)}, ""},
		"a report":                   {[][]byte{report}, "rtcp"},
		"an encrypted report":        {[][]byte{append(report[:8:8], make([]byte, 14)...)}, "rtcp"},
		"a report that is cut":       {[][]byte{report[:17]}, ""},
		"STUN":                       {[][]byte{stun}, "stun"},
		"STUN of a wrong length":     {[][]byte{append(stun[:28:28], 0)}, ""},
		"STUN with a long attribute": {[][]byte{append(stun[:23:23], 9, 'a', 'b', 'c', 0)}, ""},
	} {
		var list []packet.Headers
		for _, b := range tc.list {
			list = append(list, dissecttest.Datagram(0, [2]uint16{40000, 40002}, b))
		}
		if r := dissecttest.Play(dissect.Config{}, list); r.Flows[0].Protocol != tc.want || len(r.Facts) > 0 {
			t.Errorf("%s: %q, want %q", name, r.Flows[0].Protocol, tc.want)
		}
	}
}

// TestCanaries plants a user, a name and a realm, and what is said.
func TestCanaries(t *testing.T) {
	secrets := []string{"canary:user1", "canary@ward.example", "CANARY-ALFA in the sound"}
	attribute := func(kind byte, s string) []byte {
		return append([]byte{0, kind, 0, byte(len(s))}, (s + "\x00\x00\x00")[:(len(s)+3)/4*4]...)
	}
	body := slices.Concat(attribute(6, secrets[0]), attribute(0x14, secrets[1]), attribute(0x80, secrets[1]))
	ask := slices.Concat([]byte{0, 1, 0, byte(len(body))}, stun[4:20], body)
	cname := append([]byte{1, byte(len(secrets[1]))}, secrets[1]...)
	cname = append(cname, make([]byte, 4-len(cname)%4)...)
	report := slices.Concat([]byte{0x80, 201, 0, 1, 1, 2, 3, 4, 0x81, 202, 0, byte(1 + len(cname)/4), 1, 2, 3, 4}, cname)
	said := func(seq uint16) []byte { return append(rtp(0, seq, 9)[:12], secrets[2]...) }
	var all [][]packet.Headers
	for i, list := range [][][]byte{{ask}, {report}, {said(7), said(8)}} {
		ports := [2]uint16{40000, 40002}
		r := dissecttest.Play(dissect.Config{}, dissecttest.Datagrams(ports, list...))
		if hits := canary.Search(r.Everything(), secrets); len(hits) > 0 || len(r.Panics) > 0 {
			t.Errorf("%d: %v %v", i, hits, r.Panics)
		}
		all = append(all, dissecttest.Datagrams(ports, list...))
	}
	c := dissecttest.Conversation{{Side: 0, Data: ask}}
	dissecttest.NoLeak(t, secrets, c)
	dissecttest.Planted(t, "rtp", secrets, append(all, c.Segments(true))...)
}

func TestStream(t *testing.T) {
	framed := append([]byte{0, byte(len(stun))}, stun...)
	for _, b := range [][]byte{stun, framed} {
		for i := range b {
			r := dissecttest.Play(dissect.Config{}, dissecttest.Conversation{{Data: b}}.Cut(i).Segments(true))
			if r.Flows[0].Protocol != "stun" {
				t.Errorf("cut at %d: %q", i, r.Flows[0].Protocol)
			}
		}
	}
}

func Fuzz(f *testing.F) {
	f.Add(rtp(0, 1, 2), rtp(0, 2, 2))
	f.Add(stun, stun)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		list := []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 40002}, a), dissecttest.Datagram(1, [2]uint16{40000, 40002}, b), dissecttest.Datagram(0, [2]uint16{40000, 40002}, b)}
		if r := dissecttest.Play(dissect.Config{}, list); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
