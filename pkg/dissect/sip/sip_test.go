package sip_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/sip"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

var secrets = []string{"canaryuser", "CANARY-ALFA", "PHI-0001-CANARY", "canarypassword"}

// message has what must not leave in every header.
func message(start string, body string, headers ...string) string {
	s := start + "\r\nVia: SIP/2.0/UDP 10.1.2.3:5060;branch=z9hG4bK-CANARY-ALFA\r\nFrom: \"CANARY-ALFA\" <sip:canaryuser@example.org>;tag=1\r\nTo: <sip:canaryuser@example.org>\r\nCall-ID: PHI-0001-CANARY@10.1.2.3\r\n" +
		"Subject: CANARY-ALFA\r\nContact: <sip:canaryuser@10.1.2.3>;+sip.instance=\"<urn:uuid:00000000-0000-0000-0000-001A2B3C4D5E>\"\r\nMax-Forwards: 70\r\n"
	for _, h := range headers {
		s += h + "\r\n"
	}
	return s + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}

const sdp = "v=0\r\no=canaryuser 1 1 IN IP4 10.1.2.3\r\ns=CANARY-ALFA\r\nc=IN IP4 10.1.2.3\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\na=rtcp:53020\r\nm=video 51372 RTP/AVP 31\r\nc=IN IP4 10.1.2.9\r\nm=image 4000 udptl t38\r\n"

var dialogue = []string{
	message("REGISTER sip:example.org SIP/2.0", "", "CSeq: 1 REGISTER", "User-Agent: Yealink SIP-T46G 28.81.0.110"),
	message("SIP/2.0 401 Unauthorized CANARY-ALFA", "", "CSeq: 1 REGISTER", "Server: Asterisk PBX 16.2", `WWW-Authenticate: Digest realm="CANARY-ALFA", nonce="PHI-0001-CANARY"`),
	message("REGISTER sip:example.org SIP/2.0", "", "CSeq: 2 REGISTER", "User-Agent: Yealink SIP-T46G 28.81.0.110", `Authorization: Digest username="canaryuser", response="canarypassword"`),
	message("SIP/2.0 200 OK", "", "CSeq: 2 REGISTER", "Server: Asterisk PBX 16.2"),
	message("INVITE sip:canaryuser@example.org SIP/2.0", sdp, "CSeq: 3 INVITE", "User-Agent: canaryuser@example.org", "Content-Type: application/sdp"),
	message("SIP/2.0 180 Ringing", "", "CSeq: 3 INVITE"),
	message("ACK sip:canaryuser@example.org SIP/2.0", "", "CSeq: 3 ACK", "User-Agent: Yealink SIP-T46G 28.81.0.110"),
	message("MESSAGE sip:canaryuser@example.org SIP/2.0", "CANARY-ALFA PHI-0001-CANARY", "CSeq: 4 MESSAGE", "Content-Type: text/plain"),
}

const want = `sip request > mac=00:1a:2b:3c:4d:5e method=register user_agent=Yealink SIP-T46G 28.81.0.110
sip response < auth=digest mac=00:1a:2b:3c:4d:5e method=register server=Asterisk PBX 16.2 status=401
sip request > auth=digest mac=00:1a:2b:3c:4d:5e method=register user_agent=Yealink SIP-T46G 28.81.0.110
sip response < mac=00:1a:2b:3c:4d:5e method=register server=Asterisk PBX 16.2 status=200
sip request > mac=00:1a:2b:3c:4d:5e method=invite
sip request > mac=00:1a:2b:3c:4d:5e method=message
`

func conversation() dissecttest.Conversation {
	sides := []int{0, 1, 0, 1, 0, 1, 0, 0}
	var c dissecttest.Conversation
	for i, m := range dialogue {
		c = append(c, dissecttest.Chunk{Side: sides[i], Data: []byte(m)})
	}
	return append(c, dissecttest.Chunk{Side: 0, Data: []byte("\r\n\r\n")})
}

func datagrams() []packet.Headers {
	var list []packet.Headers
	for _, x := range conversation() {
		list = append(list, dissecttest.Datagram(x.Side, [2]uint16{40000, 40001}, x.Data))
	}
	return list
}

func TestDialogue(t *testing.T) {
	if r := dissecttest.EveryCut(t, conversation()); r.Brief() != want || r.Flows[0].By != proto.ByContent {
		t.Errorf("TCP: got\n%swant\n%s", r.Brief(), want)
	}
	if r := dissecttest.Play(dissect.Config{}, datagrams()); r.Brief() != want || r.Flows[0].Protocol != "sip" {
		t.Errorf("UDP: got\n%swant\n%s", r.Brief(), want)
	}
}

func TestCanaries(t *testing.T) {
	dissecttest.NoLeak(t, secrets, conversation())
	s := canary.New(secrets)
	if hits := s.Search(dissecttest.Play(dissect.Config{}, datagrams()).Everything()); len(hits) > 0 {
		t.Error(hits)
	}
	for _, m := range dialogue {
		for i := range m {
			r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{5060, 5060}, []byte(m[:i]))})
			if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
				t.Fatal(hits, r.Panics, r.Brief())
			}
		}
	}
}

// The media that a description announces.
func TestMedia(t *testing.T) {
	r := dissecttest.NewRunner(dissect.Config{})
	for _, h := range datagrams() {
		r.Headers(&h)
	}
	for port, ip := range map[uint16]string{49170: "10.1.2.3", 53020: "10.1.2.3", 51372: "10.1.2.9", 51373: "10.1.2.9", 4000: "10.1.2.3", 49171: "10.1.2.3"} {
		h := dissecttest.Datagram(1, [2]uint16{port, 30000}, []byte("neither RTP nor anything else"))
		h.DstIP = netip.MustParseAddr(ip)
		r.Headers(&h)
	}
	got := map[uint16]string{}
	for _, f := range r.Finish().Flows[1:] {
		got[f.DstPort] = f.Protocol + " " + f.By
	}
	for port, want := range map[uint16]string{49170: "rtp context", 53020: "rtcp context", 51372: "rtp context", 51373: "rtcp context", 4000: " ", 49171: " "} {
		if got[port] != want && got[port] != strings.Replace(want, "context", "", 1) {
			t.Errorf("%d: %q, want %q", port, got[port], want)
		}
	}
}

func TestRecognise(t *testing.T) {
	for in, want := range map[string]dissector.Verdict{
		"INVITE sip:a SIP/2.0\r\n": dissector.Yes, "\r\n\r\nOPTIONS sip:a SIP/2.0\r\n": dissector.Yes, "SIP/2.0 200 OK\r\n": dissector.Yes, "SIP/2.0 2": dissector.More, "INV": dissector.More, "INVITE sip:a": dissector.More,
		"SIP/2.0 999 x\r\n": dissector.No, "OPTIONS rtsp://a RTSP/1.0\r\n": dissector.No, "OPTIONS sip:a HTTP/1.1\r\n": dissector.No, "NOTIFY * HTTP/1.1\r\n": dissector.No, "INVITE sip:\x01 SIP/2.0\r\n": dissector.No, "GET / HTTP/1.1": dissector.No,
		"MESSAGE x": dissector.No,
	} {
		if got := sip.Protocol.Recognise([]byte(in), false); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

func TestBroken(t *testing.T) {
	long := "INVITE sip:a SIP/2.0\r\nVia: x\r\n"
	for name, text := range map[string]string{
		"an endless head": long + strings.Repeat("X: y\r\n", 4000), "a long body": long + "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000) + "INVITE sip:b SIP/2.0\r\nVia: x\r\nServer: y\r\n\r\n", "garbage behind": long + "\r\ngarbage and more\r\n\r\n",
	} {
		c := dissecttest.Conversation{{Side: 0, Data: []byte(text)}}
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(1, 40, 5000, 30000, len(text)-3).Segments(true))
		if got.Text() != want.Text() || len(got.Panics) > 0 || (name == "a long body") != (len(got.Facts) == 2) {
			t.Errorf("%s: %s %v", name, got.Brief(), got.Counters)
		}
	}
}

// Zeek's sip.log, nDPI's results and Suricata's sip events of these captures.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]string{
		"nDPI/pcap/sip.pcap":                                     "user_agent=Nero SIPPS IP Phone Version 2.0.51.16",
		"suricata-verify/sip-tcp-method/sip-tcp.pcap":            "server=kamailio (5.2.1 (x86_64/linux)) status=200",
		"suricata-verify/sip-tcp-pattern-matching/sip.pcap":      "request > method=register user_agent=Nero SIPPS IP Phone",
		"zeek/Traces/sip/sip-junk-before-request.pcap":           "request > method=register",
		"suricata-verify/sip-compact-form/sip_compact_form.pcap": "request > method=invite",
		"ipfixprobe/tests/functional/inputs/sip.pcap":            "user_agent=friendly-scanner",
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		if !strings.Contains(r.Brief(), want) {
			t.Errorf("%s: no %q in\n%s", file, want, r.Brief())
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(dialogue[0]+dialogue[4]), []byte(dialogue[1]), 40)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		dissecttest.FuzzCut(t, a, b, cut)
		if r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{5060, 5060}, a)}); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
