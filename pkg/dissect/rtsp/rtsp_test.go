package rtsp_test

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
	"github.com/wardflow/wardflow/pkg/repotest"
)

const (
	options = "OPTIONS rtsp://10.1.2.4/canarypath RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: LibVLC/3.0.18\r\n\r\n"
	denied  = "RTSP/1.0 401 canary text\r\nCSeq: 1\r\nServer: Hipcam RealServer/V1.0\r\nWWW-Authenticate: Basic realm=\"IPCamera 3\"\r\n\r\n"
	setup   = "SETUP rtsp://10.1.2.4/canarypath RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP;unicast;client_port=50000-50001\r\nSession: canarysession\r\n\r\n"
	agreed  = "RTSP/1.0 200 OK\r\nTransport: RTP/AVP;unicast;client_port=50000-50001;server_port=6970-6971\r\nContent-Length: 11\r\n\r\ncanary body"
)

var (
	secrets  = []string{"canarypath", "canary text", "canaryuser", "canarypassword", "canarysession", "canary body"}
	describe = "DESCRIBE rtsp://10.1.2.4/canarypath?user=canaryuser RTSP/1.0\r\nCSeq: 2\r\nAuthorization: Basic " +
		base64.StdEncoding.EncodeToString([]byte("canaryuser:canarypassword")) + "\r\nUser-Agent: LibVLC/3.0.18\r\n\r\n"
)

func say(parts ...string) (c dissecttest.Conversation) {
	for i, p := range parts {
		if p != "" {
			c = append(c, dissecttest.Chunk{Side: i % 2, Data: []byte(p)})
		}
	}
	return c
}

func conversation() dissecttest.Conversation {
	return say(options, denied, describe, denied+"$\x00\x00\x05$$$$$"+agreed, setup, agreed)
}

const want = `rtsp request side=0 mac= ip=invalid IP equipment="" gateway=0 {"method":"OPTIONS","role":"client","user_agent":"LibVLC/3.0.18"}
rtsp response side=1 mac= ip=invalid IP equipment="" gateway=0 {"auth":"basic","realm":"IPCamera 3","role":"server","server":"Hipcam RealServer/V1.0","status":"401"}
rtsp request side=0 mac= ip=invalid IP equipment="" gateway=0 {"account":"other","auth":"basic","cleartext_credential":"basic","method":"DESCRIBE","role":"client","user_agent":"LibVLC/3.0.18"}
rtsp response side=1 mac= ip=invalid IP equipment="" gateway=0 {"role":"server","status":"200"}
rtsp request side=0 mac= ip=invalid IP equipment="" gateway=0 {"method":"SETUP","role":"client"}
`

func TestFacts(t *testing.T) {
	c := conversation()
	sizes := c.Sizes()
	for i := range sizes[0] + sizes[1] {
		r := dissecttest.Play(dissect.Config{}, c.Cut(i).Segments(true))
		if r.Text() != want || r.Flows[0].Protocol != "rtsp" || strings.Join(r.Flows[0].Inner, " ") != "rtp" {
			t.Fatalf("cut at %d: %v\n%s", i, r.Flows[0].Inner, r.Text())
		}
	}
}

// The flow that SETUP agreed on is RTP by context, its second port RTCP.
func TestMedia(t *testing.T) {
	list := conversation().Segments(true)
	media := dissecttest.Datagram(1, [2]uint16{50000, 6970}, []byte("anything at all, by context"))
	media.Time = list[len(list)-1].Time
	r := dissecttest.Play(dissect.Config{}, append(list, media))
	if f := r.Flows[1]; f.Protocol != "rtp" || f.By != "context" {
		t.Errorf("%q by %q", f.Protocol, f.By)
	}
}

func TestCanaries(t *testing.T) {
	s := canary.New(secrets)
	c := conversation()
	dissecttest.Planted(t, "rtsp", secrets, c.Segments(true), c.Cut(99, 333).Segments(false))
	rnd := rand.New(rand.NewPCG(1, 1))
	sizes := c.Sizes()
	for i := range sizes[0] + sizes[1] {
		list := c.Cut(i, i+1+rnd.IntN(90)).Segments(true)
		j := 2 + rnd.IntN(len(list)-4)
		for _, r := range []*dissecttest.Result{
			dissecttest.Play(dissect.Config{}, list), dissecttest.Play(dissect.Config{}, slices.Delete(slices.Clone(list), j, j+1)),
		} {
			if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
				t.Fatalf("at %d: %v %v in\n%s", i, hits, r.Panics, r.Text())
			}
		}
	}
}

func TestBounds(t *testing.T) {
	text := ""
	for i := range 50 {
		text += fmt.Sprintf("OPTIONS * RTSP/1.0\r\nUser-Agent: %d\r\n\r\n", i)
	}
	r := dissecttest.Play(dissect.Config{}, say(text+"nonsense\r\n\r\n").Segments(true))
	if len(r.Facts) != 16 || r.Counters["rtsp_values_skipped"] != 1 || r.Counters["rtsp_malformed"] != 1 {
		t.Errorf("%d facts, %v", len(r.Facts), r.Counters)
	}
}

func TestCapture(t *testing.T) {
	n := 0
	for _, file := range []string{"rtsp_setup_http.pcapng"} {
		for _, f := range dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/"+file))).Flows {
			if f.Protocol == "rtsp" && f.By == "content" {
				n++
			}
		}
	}
	if n == 0 {
		t.Error("no flow is RTSP")
	}
}

func Fuzz(f *testing.F) {
	f.Add([]byte(options+setup), []byte(denied+"$\x00\x00\x02xx"+agreed))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if r := dissecttest.Play(dissect.Config{}, say(string(a), string(b)).Segments(true)); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
