package syslog_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
)

var (
	secrets = []string{"canary text", "canaryuser", "CANARYID", "canarydata"}
	modern  = `<165>1 2026-01-01T10:00:00.003Z pump-gw7.ward.example infusiond 4711 CANARYID [x@1 y="canarydata"] canary text of canaryuser`
	old     = `<34>Oct 11 22:14:15 sw-3 %LINK-3-UPDOWN: canary text of canaryuser`
	daemon  = `<13>Jan  2 03:04:05 ws1 sshd[99]: canary text for canaryuser`
)

func udp(port uint16, parts ...string) []packet.Headers {
	var list []packet.Headers
	for _, p := range parts {
		list = append(list, dissecttest.Datagram(0, [2]uint16{40000, port}, []byte(p)))
	}
	return list
}

func tcp(parts ...string) (c dissecttest.Conversation) {
	for _, p := range parts {
		c = append(c, dissecttest.Chunk{Data: []byte(p)})
	}
	return c
}

const want = `syslog message side=0 mac= ip=invalid IP equipment="" gateway=0 {"facility":"20","format":"rfc5424","hostname":"pump-gw7.ward.example","program":"infusiond","role":"client","severity":"notice"}
syslog message side=0 mac= ip=invalid IP equipment="" gateway=0 {"facility":"4","format":"rfc3164","hostname":"sw-3","program":"%LINK-3-UPDOWN","role":"client","severity":"critical"}
syslog message side=0 mac= ip=invalid IP equipment="" gateway=0 {"facility":"1","format":"rfc3164","hostname":"ws1","program":"sshd","role":"client","severity":"notice"}
syslog messages side=0 mac= ip=invalid IP equipment="" gateway=0 {"severities":["critical:1","notice:3"]}
`

// The same facts over UDP, and over TCP by line and by length, however that is cut.
func TestFacts(t *testing.T) {
	if got := dissecttest.Play(dissect.Config{}, udp(514, modern, old, daemon, modern)).Text(); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
	counted := ""
	for _, m := range []string{modern, old, daemon, modern} {
		counted += fmt.Sprintf("%d %s", len(m), m)
	}
	for _, text := range []string{modern + "\n" + old + "\r\n" + daemon + "\n" + modern + "\n", counted} {
		for i := range len(text) {
			r := dissecttest.Play(dissect.Config{}, tcp(text).Cut(i).Segments(true))
			if r.Text() != want || r.Flows[0].Protocol != "syslog" {
				t.Fatalf("%.10s cut at %d: %q\n%s", text, i, r.Flows[0].Protocol, r.Text())
			}
		}
	}
}

func TestRecognised(t *testing.T) {
	for name, tc := range map[string]struct {
		port uint16
		text string
		want bool
	}{
		"elsewhere, with a time": {9999, old, true}, "elsewhere, without": {9999, "<13>hello there", false}, "at home, without": {514, "<13>hello there", true},
		"too high": {514, "<192>hello", false}, "leading zero": {514, "<013>hello", false}, "XML": {9999, "<html><body>", false}, "no number": {514, "<>x", false},
	} {
		r := dissecttest.Play(dissect.Config{}, udp(tc.port, tc.text))
		if got := r.Flows[0].Protocol == "syslog" && r.Flows[0].By == "content"; got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBounds(t *testing.T) {
	var parts []string
	for i := range 100 {
		parts = append(parts, fmt.Sprintf("<13>1 - host%d app - - - x", i))
	}
	if r := dissecttest.Play(dissect.Config{}, udp(514, parts...)); len(r.Facts) != 17 || r.Counters["syslog_values_skipped"] != 1 {
		t.Errorf("%d facts, %v", len(r.Facts), r.Counters)
	}
	r := dissecttest.Play(dissect.Config{}, tcp(old+"\n", strings.Repeat("x", 200000), "\n"+daemon+"\nrubbish\n"+modern+"\n").Segments(true))
	if n := len(r.Of("syslog", "message")); n != 3 || r.Counters["syslog_malformed"] != 2 {
		t.Errorf("%d messages, %v", n, r.Counters)
	}
}

func TestCanaries(t *testing.T) {
	s := canary.New(secrets)
	text := modern + "\n" + old + "\n" + daemon + "\n"
	dissecttest.Planted(t, "syslog", secrets, udp(514, modern, old, daemon, old[:40]), tcp(text).Segments(true))
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range len(text) {
		list := tcp(text, text).Cut(i, i+1+rnd.IntN(50)).Segments(true)
		damaged := []byte(modern)
		damaged[i%len(damaged)] ^= byte(1 + rnd.IntN(255))
		for _, r := range []*dissecttest.Result{
			dissecttest.Play(dissect.Config{}, slices.Delete(slices.Clone(list), 3, 4)), dissecttest.Play(dissect.Config{}, udp(514, string(damaged), text[i:])),
		} {
			if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
				t.Fatalf("at %d: %v %v in\n%s", i, hits, r.Panics, r.Text())
			}
		}
	}
}

func Fuzz(f *testing.F) {
	f.Add(modern, true)
	f.Add(fmt.Sprintf("%d %s", len(old), old), true)
	f.Fuzz(func(t *testing.T, text string, stream bool) {
		list := udp(514, text, text)
		if stream {
			list = tcp(text, text).Segments(true)
		}
		if r := dissecttest.Play(dissect.Config{}, list); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
