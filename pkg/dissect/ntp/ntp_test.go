package ntp_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/ntp"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

var (
	home      = [2]uint16{40000, 123}
	elsewhere = [2]uint16{40000, 40001}
)

// timePacket has a version, mode, stratum, poll and reference, and more behind it.
func timePacket(first, stratum byte, poll int8, reference string, more ...byte) []byte {
	b := make([]byte, 48)
	b[0], b[1], b[2], b[3] = first, stratum, byte(poll), 0xec
	copy(b[12:], reference)
	b[40] = 0xe0
	return append(b, more...)
}

func control(flags byte, data string) []byte {
	b := make([]byte, 12)
	b[0], b[1], b[11] = 0x16, flags, byte(len(data))
	return append(b, data...)
}

func private(first, request byte) []byte {
	return append([]byte{first, 0, 3, request}, make([]byte, 44)...)
}

type said dissecttest.Chunk

func play(ports [2]uint16, list ...said) *dissecttest.Result {
	return dissecttest.PlayDatagrams(ports, list...)
}

func lines(r *dissecttest.Result) []string { return r.Lines(dissecttest.KindSide) }

func TestDatagrams(t *testing.T) {
	digest := make([]byte, 20)
	nts := append([]byte{0x01, 0x04, 0, 36}, make([]byte, 32)...)
	for _, tc := range []struct {
		name string
		list []said
		want []string
	}{
		{"a client and its server", []said{{0, timePacket(0x23, 0, 6, "")}, {1, timePacket(0x24, 1, 6, "GPS\x00")}}, []string{`client 0 {"ntp_version":"4","poll_s":"64","role":"client"}`, `server 1 {"ntp_version":"4","poll_s":"64","reference":"GPS","role":"server","stratum":"1"}`}},
		{"a client that is a server's", []said{{0, timePacket(0xe3, 3, 10, "\x0a\x01\x02\x04")}}, []string{`client 0 {"leap":"unsynchronized","ntp_version":"4","poll_s":"1024","reference":"10.1.2.4","role":"client","stratum":"3"}`}},
		{"said once, and again when it changes", []said{{1, timePacket(0x24, 2, 6, "\x0a\x01\x02\x09")}, {1, timePacket(0x24, 2, 6, "\x0a\x01\x02\x09")}, {1, timePacket(0x24, 3, 6, "\x0a\x01\x02\x09")}}, []string{`server 0 {"ntp_version":"4","poll_s":"64","reference":"10.1.2.9","role":"server","stratum":"2"}`, `server 0 {"ntp_version":"4","poll_s":"64","reference":"10.1.2.9","role":"server","stratum":"3"}`}},
		{"kiss of death", []said{{1, timePacket(0xe4, 0, 6, "RATE")}}, []string{`server 0 {"kiss":"RATE","leap":"unsynchronized","ntp_version":"4","poll_s":"64","role":"server","stratum":"0"}`}},
		{"peers", []said{{0, timePacket(0x19, 2, 6, "\x0a\x01\x02\x09")}, {1, timePacket(0x1a, 16, 6, "")}}, []string{`symmetric_active 0 {"ntp_version":"3","poll_s":"64","reference":"10.1.2.9","role":"peer","stratum":"2"}`, `symmetric_passive 1 {"ntp_version":"3","poll_s":"64","role":"peer","stratum":"16"}`}},
		{"broadcast of version 2", []said{{0, timePacket(0x15, 1, 6, "PPS\x00")}}, []string{`broadcast 0 {"legacy":"true","ntp_version":"2","poll_s":"64","reference":"PPS","role":"server","stratum":"1"}`}},
		{"version 1", []said{{0, timePacket(0x08, 0, 6, "")}, {1, timePacket(0x08, 1, 6, "WWVB")}}, []string{`client 0 {"legacy":"true","ntp_version":"1","poll_s":"64","role":"client"}`, `server 1 {"legacy":"true","ntp_version":"1","poll_s":"64","reference":"WWVB","role":"server","stratum":"1"}`}},
		{"a digest", []said{{0, timePacket(0x23, 0, 6, "", digest...)}}, []string{`client 0 {"authentication":"symmetric","ntp_version":"4","poll_s":"64","role":"client"}`}},
		{"network time security", []said{{0, timePacket(0x23, 0, 6, "", nts...)}}, []string{`client 0 {"authentication":"nts","ntp_version":"4","poll_s":"64","role":"client"}`}},
		{"a reference that is none", []said{{1, timePacket(0x24, 1, 6, "\x01\x02\xff!")}}, []string{`server 0 {"ntp_version":"4","poll_s":"64","role":"server","stratum":"1"}`}},
		{
			"variables",
			[]said{{0, control(2, "")}, {1, control(0x82, "version=\"ntpd 4.2.8p15@1.3728-o Wed Sep 23 11:46:38 UTC 2020 (1)\", processor=\"x86_64\",\r\nsystem=\"Linux/5.10.0-8\", leap=0, stratum=3, peer=nobody")}},
			[]string{`control 0 {"ntp_version":"2","request":"read_variables","role":"client"}`, `control 1 {"cpu":"x86_64","ntp_version":"2","os":"Linux","os_version":"5.10.0-8","request":"read_variables","role":"server","software":"ntpd 4.2.8p15"}`},
		},
		{"a write", []said{{0, control(8, "")}}, []string{`control 0 {"ntp_version":"2","request":"configure","role":"client"}`}},
		{"monlist", []said{{0, private(0x17, 42)}, {1, private(0x97, 42)}}, []string{`private 0 {"legacy":"true","ntp_version":"2","request":"monlist","role":"client"}`, `private 1 {"legacy":"true","ntp_version":"2","request":"monlist","role":"server"}`}},
		{"another private one", []said{{0, private(0x17, 99)}}, []string{`private 0 {"legacy":"true","ntp_version":"2","request":"99","role":"client"}`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := play(home, tc.list...)
			if got := lines(r); !slices.Equal(got, tc.want) || len(r.Panics) > 0 || r.Flows[0].By != proto.ByContent || strings.Contains(r.Text(), "obody") {
				t.Errorf("%v by %s, got\n%s\nwant\n%s", r.Panics, r.Flows[0].By, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			if r := play(elsewhere, tc.list...); r.Flows[0].Protocol == "ntp" {
				t.Error("it is known without its port")
			}
		})
	}
}

func TestRefused(t *testing.T) {
	h := dissecttest.Datagram(0, home, nil)
	c := &dissector.Context{Headers: &h}
	for name, b := range map[string][]byte{
		"version 0": timePacket(0x03, 0, 6, ""), "version 5": timePacket(0x2b, 0, 6, ""), "mode 0": timePacket(0x20, 0, 6, ""), "short": timePacket(0x23, 0, 6, "")[:40],
		"stratum 17": timePacket(0x24, 17, 6, ""), "poll 25": timePacket(0x23, 0, 25, ""), "an odd length": timePacket(0x23, 0, 6, "", 1), "half a digest": timePacket(0x23, 0, 6, "", make([]byte, 8)...),
		"an extension beyond the end": timePacket(0x23, 0, 6, "", append([]byte{1, 4, 1, 0}, make([]byte, 40)...)...), "no operation": control(0, ""),
		"data beyond the end": append(control(2, "")[:10], 0, 99), "private, too many": append([]byte{0x17, 0, 3, 42, 0x0f, 0xff, 0, 72}, make([]byte, 40)...), "text": []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		h.PayloadLen = len(b)
		if ntp.Protocol.Datagram(c, b, false) != dissector.No {
			t.Errorf("%s is not refused", name)
		}
	}
}

// Of control messages the listed variables leave, and of packets nothing that
// could hold a text.
func TestCanaries(t *testing.T) {
	secrets := []string{"Canarella", "canary clock"}
	s := canary.New(secrets)
	list := [][]byte{
		control(0x82, `peeradr="Canarella", version="ntpd 4.2", refid=Canarella, name="canary clock"`), control(3, "Canarella=1"),
		timePacket(0x23, 0, 6, "", []byte("\x00\x00\x00\x01Canarella, canary")[:20]...), append(private(0x17, 42), "Canarella"...),
	}
	var packets []packet.Headers
	for _, b := range list {
		packets = append(packets, dissecttest.Datagram(0, home, b))
	}
	dissecttest.Planted(t, "ntp", secrets, packets)
	for _, b := range list {
		for cut := range len(b) + 1 {
			h := dissecttest.Datagram(0, home, b[:cut])
			h.PayloadLen = len(b)
			if hits := s.Search(dissecttest.Play(dissect.Config{}, []packet.Headers{h}).Everything()); len(hits) > 0 {
				t.Fatalf("cut at %d: %v", cut, hits)
			}
		}
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add(timePacket(0x24, 1, 6, "GPS\x00"))
	f.Add(timePacket(0x23, 0, 6, "", append([]byte{0x01, 0x04, 0, 36}, make([]byte, 32)...)...))
	f.Add(control(0x82, `version="ntpd 4.2.8p15@1", system="Linux/5"`))
	f.Add(private(0x17, 42))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := play(home, said{0, b}, said{1, b}); len(r.Panics) > 0 || len(r.Facts) > 2 {
			t.Fatal(r.Panics, len(r.Facts))
		}
	})
}
