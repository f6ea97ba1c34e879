package dissect_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// chunk is one of SCTP's, padded.
func chunk(kind byte, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	b := append(binary.BigEndian.AppendUint16([]byte{kind, 3}, uint16(4+len(body))), body...)
	return append(b, make([]byte, -len(b)&3)...)
}

func word(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// user is a chunk of user data: its number, its stream, for which protocol.
func user(number uint32, stream uint16, use uint32, data string) []byte {
	return chunk(0, word(number), word(uint32(stream)<<16), word(use), []byte(data))
}

func begin(kind byte, number uint32) []byte {
	return chunk(kind, word(7), word(65536), word(0x000a000a), word(number))
}

func sctpPacket(side int, chunks ...[]byte) packet.Headers {
	h := dissecttest.Datagram(side, [2]uint16{40000, 9999}, slices.Concat(chunks...))
	h.Transport, h.Header = proto.SCTP, make([]byte, 12)
	return h
}

func sctpBrief(list ...packet.Headers) (label, said string) {
	r := dissecttest.Play(dissect.Config{}, list)
	if len(r.Panics) > 0 {
		panic(r.Panics)
	}
	return r.Flows[0].Protocol, r.Brief()
}

const (
	sctpRequest  = "GET /a HTTP/1.1\r\nHost: a.example\r\nUser-Agent: one\r\n\r\n"
	sctpResponse = "HTTP/1.1 200 OK\r\nServer: two\r\nContent-Length: 5\r\n\r\n"
	sctpSaid     = "http request > host=a.example http_version=1.1 method=GET user_agent=one\nhttp response < http_version=1.1 server=two status=200\n"
)

func TestSCTP(t *testing.T) {
	handshake := []packet.Headers{sctpPacket(0, begin(1, 0xffffffff)), sctpPacket(1, begin(2, 100))}
	answer := sctpPacket(1, user(100, 0, 0, sctpResponse), user(101, 0, 0, "hello"))
	half := len(sctpRequest) / 2
	first, second := sctpPacket(0, user(0xffffffff, 0, 0, sctpRequest[:half])), sctpPacket(0, user(0, 0, 0, sctpRequest[half:]))
	ssh := user(0, 1, 0, "SSH-2.0-OpenSSH_9.6\r\n")
	cut := sctpPacket(0, user(0xffffffff, 0, 0, sctpRequest))
	cut.Payload = cut.Payload[:40]
	for name, tc := range map[string]struct {
		list        []packet.Headers
		label, said string
	}{
		"in order":             {append(slices.Clone(handshake), first, second, answer), "http", sctpSaid},
		"out of order":         {append(slices.Clone(handshake), second, first, answer), "http", sctpSaid},
		"sent again":           {append(slices.Clone(handshake), first, first, second, first, answer, answer), "http", sctpSaid},
		"begun again":          {append(append(slices.Clone(handshake), handshake...), first, second, answer), "http", sctpSaid},
		"both in one":          {append(slices.Clone(handshake), sctpPacket(0, user(0xffffffff, 0, 0, sctpRequest[:half]), user(0, 0, 0, sctpRequest[half:])), answer), "http", sctpSaid},
		"two streams":          {append(slices.Clone(handshake), first, sctpPacket(0, ssh), sctpPacket(0, user(1, 0, 0, sctpRequest[half:])), answer), "http", sctpSaid},
		"another first number": {append(slices.Clone(handshake), sctpPacket(0, begin(1, 5)), sctpPacket(1, begin(2, 100)), sctpPacket(0, user(5, 0, 0, sctpRequest)), answer), "http", sctpSaid},
		"given up":             {append(slices.Clone(handshake), sctpPacket(0, chunk(192, word(3))), sctpPacket(0, user(4, 0, 0, sctpRequest)), answer), "http", sctpSaid},
		"joined midway":        {[]packet.Headers{sctpPacket(0, user(9, 0, 0, sctpRequest)), answer}, "http", sctpSaid},
		"of telephony":         {append(slices.Clone(handshake), sctpPacket(0, user(0xffffffff, 0, 3, sctpRequest))), "", ""},
		"not captured whole":   {append(slices.Clone(handshake), cut), "http", ""},
		"a length of nothing":  {append(slices.Clone(handshake), sctpPacket(0, []byte{0, 3, 0, 0, 1, 2, 3, 4})), "", ""},
		"no user data":         {append(slices.Clone(handshake), sctpPacket(0, user(0xffffffff, 0, 0, "")), sctpPacket(0, user(0, 0, 0, sctpRequest)), answer), "http", sctpSaid},
		"nothing but numbers":  {append(slices.Clone(handshake), sctpPacket(0, chunk(0, word(1)), chunk(1, word(1)), chunk(192))), "", ""},
	} {
		label, said := sctpBrief(tc.list...)
		if name == "two streams" {
			said = strings.Replace(said, "ssh banner > ", "", 1)
			said = strings.Join(slices.DeleteFunc(strings.SplitAfter(said, "\n"), func(s string) bool { return s != "" && !strings.HasPrefix(s, "http") }), "")
		}
		if label != tc.label || said != tc.said {
			t.Errorf("%s: %q\n%s", name, label, said)
		}
	}
}

// More waits than is kept, and more streams are opened than are read.
func TestSCTPBounds(t *testing.T) {
	list := []packet.Headers{sctpPacket(0, begin(1, 1)), sctpPacket(1, begin(2, 1))}
	for i := range uint32(100) {
		list = append(list, sctpPacket(0, user(2+i, 0, 0, sctpRequest)))
	}
	if label, said := sctpBrief(list...); label != "http" || !strings.Contains(said, "host=a.example") {
		t.Errorf("behind a loss: %q\n%s", label, said)
	}
	list = list[:2]
	for i := range uint32(40) {
		list = append(list, sctpPacket(0, user(1+i, uint16(i), 0, sctpRequest)))
	}
	if r := dissecttest.Play(dissect.Config{}, list); len(r.Of("http", "request")) != 8 {
		t.Errorf("%d streams", len(r.Of("http", "request")))
	}
	list = list[:2]
	for i := range uint32(400) {
		list = append(list, sctpPacket(0, user(1+i, 0, 0, "\x00\x01 nothing that anybody knows "+strings.Repeat("\x99", 2000))))
	}
	if label, said := sctpBrief(list...); label != "" || said != "" {
		t.Errorf("unknown: %q %s", label, said)
	}
}

// What Arkime's test expects of its capture.
func TestSCTPArkime(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/arkime/pcap/sctp-www.pcap")))
	list := r.Of("http", "request")
	if len(list) != 2 || list[0].Attributes.Get("user_agent") != "Mozilla/5.0 (X11; U; Linux i686; ko-KR; rv:1.7.12) Gecko/20051007 Debian/1.7.12-1" || list[1].Attributes.Get("host") != "203.255.252.194" {
		t.Errorf("%s", r.Text())
	}
}

func TestSCTPCanaries(t *testing.T) {
	secrets := []string{"CANARY-ALFA-NAME", "PHI-CANARY-0002"}
	text := strings.Join(secrets, " ")
	request := "GET /" + secrets[0] + "?q=" + secrets[1] + " HTTP/1.1\r\nHost: a.example\r\nCookie: " + text + "\r\n\r\n"
	var list []packet.Headers
	for i, part := range []string{request, text, "\x0bMSH|" + text, strings.Repeat(text, 9)} {
		list = append(list, sctpPacket(0, user(uint32(1+2*i), uint16(i), 0, part)), sctpPacket(1, user(uint32(1+i), uint16(i), uint32(3*(i&1)), text)))
	}
	for i := range list {
		x := slices.Clone(list)
		x = append(x[:i], x[i+1:]...)
		r := dissecttest.Play(dissect.Config{}, append([]packet.Headers{sctpPacket(0, begin(1, 1)), sctpPacket(1, begin(2, 1))}, x...))
		if hits := canary.Search(r.Everything(), secrets); len(hits) > 0 || len(r.Panics) > 0 {
			t.Errorf("without packet %d: %v %v in\n%s", i, hits, r.Panics, r.Everything())
		}
	}
}

func FuzzSCTP(f *testing.F) {
	f.Add(begin(1, 1), user(1, 0, 0, sctpRequest))
	f.Add(user(9, 1, 0, sctpRequest), chunk(192, word(20)))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		list := []packet.Headers{sctpPacket(0, a), sctpPacket(1, b), sctpPacket(0, bytes.Clone(b)), sctpPacket(0, begin(1, 1)), sctpPacket(0, a)}
		if r := dissecttest.Play(dissect.Config{}, list); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
