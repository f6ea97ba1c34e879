package sip_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

const (
	sdp      = "v=0\r\no=canaryuser 1 1 IN IP4 10.1.2.3\r\ns=canary session\r\nc=IN IP4 10.1.2.3\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\n"
	register = "REGISTER sip:pbx.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.2.3\r\nFrom: \"Nurse Canary\" <sip:canaryuser@pbx>\r\nTo: <sip:canaryuser@pbx>\r\nCall-ID: canarycall@10.1.2.3\r\n" +
		"User-Agent: Cisco-CP8841/12.8.1\r\nContact: <sip:canaryuser@10.1.2.3>\r\nContent-Length: 0\r\n\r\n"
	trying = "SIP/2.0 401 canary text\r\nServer: Asterisk PBX 16.2\r\nWWW-Authenticate: Digest realm=\"canaryrealm\"\r\nContent-Length: 0\r\n\r\n"
)

var (
	secrets = []string{"canaryuser", "Nurse Canary", "canarycall", "canary text", "canaryrealm", "canary session", "canarypassword"}
	invite  = fmt.Sprintf("INVITE sip:canaryuser@pbx SIP/2.0\r\nUser-Agent: Cisco-CP8841/12.8.1\r\nAuthorization: Basic %s\r\nc: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
		base64.StdEncoding.EncodeToString([]byte("canaryuser:canarypassword")), len(sdp), sdp)
)

func udp(parts ...string) []packet.Headers {
	var list []packet.Headers
	for i, p := range parts {
		list = append(list, dissecttest.Datagram(i%2, [2]uint16{5060, 5060}, []byte(p)))
	}
	return list
}

func tcp(parts ...string) (c dissecttest.Conversation) {
	for i, p := range parts {
		c = append(c, dissecttest.Chunk{Side: i % 2, Data: []byte(p)})
	}
	return c
}

const want = `sip request side=0 mac= ip=invalid IP equipment="" gateway=0 {"method":"REGISTER","role":"client","user_agent":"Cisco-CP8841/12.8.1"}
sip response side=1 mac= ip=invalid IP equipment="" gateway=0 {"role":"server","server":"Asterisk PBX 16.2","status":"401"}
sip request side=0 mac= ip=invalid IP equipment="" gateway=0 {"account":"other","auth":"basic","cleartext_credential":"basic","method":"INVITE","role":"client","user_agent":"Cisco-CP8841/12.8.1"}
`

// The same facts over UDP and TCP, however it is cut, and once only.
func TestFacts(t *testing.T) {
	if got := dissecttest.Play(dissect.Config{}, udp(register, trying, invite, trying, invite, "\r\n\r\n")).Text(); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
	c := tcp(register, trying, "\r\n\r\n"+invite+invite, trying)
	sizes := c.Sizes()
	for i := range sizes[0] + sizes[1] {
		if r := dissecttest.Play(dissect.Config{}, c.Cut(i).Segments(true)); r.Text() != want || r.Flows[0].Protocol != "sip" {
			t.Fatalf("cut at %d:\n%s", i, r.Text())
		}
	}
}

// A telephone's MAC address, where it is known to be one; nothing of who is only relayed.
func TestTelephones(t *testing.T) {
	for contact, want := range map[string]string{
		"<sip:canaryuser@10.1.2.3>;+sip.instance=\"<urn:uuid:00000000-0000-0000-0000-001A2B3C4D5E>\"":                             "00:1a:2b:3c:4d:5e",
		"<sip:1@10.1.2.3>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-0004f2112233>\"":                                      "00:04:f2:11:22:33",
		"<sip:canaryuser@10.1.2.3>;+u.sip!devicename.ccm.cisco.com=\"SEP00260B5C6D7E\";+u.sip!model.ccm.cisco.com=\"canaryuser\"": "00:26:0b:5c:6d:7e",
		"<sip:canaryuser@10.1.2.3>;+sip.instance=\"<urn:uuid:9f1b4c1e-7f0e-4e0e-8f43-001A2B3C4D5E>\"":                             "",
		"<sip:1@10.1.2.3>;+sip.instance=\"<urn:uuid:00000000-0000-0000-0000-01ffffffffff>\"":                                      "",
		"<sip:001A2B3C4D5E@10.1.2.3>": "",
		"<sip:1@10.1.2.3>;+sip.instance=\"<urn:uuid:00000000-0000-0000-0000-001A2B": "",
	} {
		s := strings.Replace(register, "<sip:canaryuser@10.1.2.3>", contact, 1)
		if got := dissecttest.Play(dissect.Config{}, udp(s)).Facts[0].Attributes; got.Get("mac") != want || got.Get("user_agent") == "" {
			t.Errorf("%s: %v", contact, got)
		}
		for _, via := range []string{"v: SIP/2.0/UDP 10.1.2.9\r\n", "Via: SIP/2.0/UDP 10.1.2.9\r\n"} {
			got := dissecttest.Play(dissect.Config{}, udp(strings.Replace(s, "From:", via+"From:", 1))).Facts[0].Attributes
			if got.Get("mac") != "" || got.Get("user_agent") != "" || got.Get("relayed") != "true" {
				t.Errorf("relayed: %v", got)
			}
		}
	}
}

// The flow that an INVITE announces is RTP at its first packet, by context.
func TestMedia(t *testing.T) {
	list := udp(invite)
	list = append(list, dissecttest.Datagram(1, [2]uint16{49170, 30000}, append([]byte{0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9}, "voice"...)))
	r := dissecttest.Play(dissect.Config{}, list)
	if f := r.Flows[1]; f.Protocol != "rtp" || f.By != "context" {
		t.Errorf("%q by %q", f.Protocol, f.By)
	}
}

func TestNotSIP(t *testing.T) {
	for _, s := range []string{"OPTIONS rtsp://x RTSP/1.0\r\n\r\n", "INVITE a SIP/1.0\r\n\r\n", "SIP/2.0 abc\r\n\r\n", "SIP/2.0 99\r\n\r\n", "NOTIFY * HTTP/1.1\r\n\r\n"} {
		if r := dissecttest.Play(dissect.Config{}, udp(s)); r.Flows[0].Protocol == "sip" && r.Flows[0].By == "content" {
			t.Errorf("%q is taken for SIP", s)
		}
	}
}

func TestBounds(t *testing.T) {
	var parts []string
	for i := range 100 {
		parts = append(parts, strings.Replace(register, "8841", fmt.Sprint(i), 1), "SIP/2.0 100 x\r\n\r\n")
	}
	r := dissecttest.Play(dissect.Config{}, udp(parts...))
	if len(r.Facts) != 17 || r.Counters["sip_values_skipped"] != 1 {
		t.Errorf("%d facts, %v", len(r.Facts), r.Counters)
	}
	r = dissecttest.Play(dissect.Config{}, udp(strings.Replace(register, "Cisco-CP8841/12.8.1", "Anna <canary@x>", 1)))
	if r.Counters["sip_agent_withheld"] != 1 {
		t.Errorf("%v", r.Counters)
	}
	r = dissecttest.Play(dissect.Config{}, tcp("INVITE sip:a SIP/2.0\r\n"+strings.Repeat("x: y\r\n", 5000)).Segments(true))
	if r.Counters["sip_head_long"] == 0 {
		t.Errorf("%v", r.Counters)
	}
}

func TestCanaries(t *testing.T) {
	s := canary.New(secrets)
	c := tcp(register, trying, invite, trying)
	dissecttest.Planted(t, "sip", secrets, udp(register, trying, invite), c.Segments(true), udp(invite[:200], trying[:60]))
	rnd := rand.New(rand.NewPCG(1, 1))
	sizes := c.Sizes()
	for i := range sizes[0] + sizes[1] {
		list := c.Cut(i, i+1+rnd.IntN(90)).Segments(true)
		j := 2 + rnd.IntN(len(list)-4)
		whole := register + trying + invite
		k := i % len(whole)
		for _, r := range []*dissecttest.Result{
			dissecttest.Play(dissect.Config{}, list), dissecttest.Play(dissect.Config{}, slices.Delete(slices.Clone(list), j, j+1)),
			dissecttest.Play(dissect.Config{}, udp(register[:k%len(register)], trying, invite[:k%len(invite)])),
			dissecttest.Play(dissect.Config{}, udp(register[:k%len(register)]+"\x00\xff"+register[k%len(register):])),
		} {
			if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
				t.Fatalf("at %d: %v %v in\n%s", i, hits, r.Panics, r.Text())
			}
		}
	}
}

// The flows of nDPI's and Zeek's captures that are SIP.
func TestCaptures(t *testing.T) {
	for file, least := range map[string]int{"nDPI/pcap/sip.pcap": 2, "nDPI/pcap/sip_hello.pcapng": 0, "zeek/Traces/sip/sip-junk-before-request.pcap": 0} {
		n := 0
		for _, f := range dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file))).Flows {
			if f.Protocol == "sip" && f.By == "content" {
				n++
			}
		}
		if n < least {
			t.Errorf("%s: %d flows", file, n)
		}
	}
}

func Fuzz(f *testing.F) {
	f.Add([]byte(register + invite))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, list := range [][]packet.Headers{udp(string(b)), tcp(string(b), string(b)).Segments(true)} {
			if r := dissecttest.Play(dissect.Config{}, list); len(r.Panics) > 0 {
				t.Fatal(r.Panics)
			}
		}
	})
}
