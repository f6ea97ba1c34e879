package syslog_test

import (
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/syslog"
)

// Every pattern does what its examples say, and no other one takes them.
func TestPatterns(t *testing.T) {
	text, err := os.ReadFile("patterns.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all, err := syslog.Patterns(text)
	if err != nil {
		t.Fatal(err)
	}
	off := 0
	for _, p := range all {
		if !p.On() {
			off++
		}
		try := func(s string) map[string]string {
			a, ok := syslog.Station(s, "10.0.0.1", p)
			if !ok {
				return nil
			}
			got := map[string]string{}
			for _, x := range a {
				got[x.Name] = x.Value
			}
			return got
		}
		for _, x := range p.Examples {
			if got := try(x.Message); !maps.Equal(got, x.Expect) {
				t.Errorf("%s: got %v, want %v", p.ID, got, x.Expect)
			}
			for _, q := range all {
				if a, ok := syslog.Station(x.Message, "10.0.0.1", q); ok && q != p {
					t.Errorf("%s also takes the example of %s: %v", q.ID, p.ID, a)
				}
			}
		}
		for _, s := range p.Counter {
			if got := try(s); got != nil {
				t.Errorf("%s takes %q: %v", p.ID, s, got)
			}
		}
	}
	if len(syslog.Looked()) != len(all)-off || off == 0 {
		t.Errorf("%d of %d are looked for, %d are off", len(syslog.Looked()), len(all), off)
	}
}

func TestPatternsRefused(t *testing.T) {
	const good = "patterns: [{id: a, contains: x, by: switch, match: '(?P<mac>.)', source: s, examples: [{message: x}]}]"
	if _, err := syslog.Patterns([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for old, now := range map[string]string{"by: switch": "by: hub", "(?P<mac>.)": "(?P<user>.)", "'(?P<mac>.)'": "x", "source: s, ": "", "id: a": "ID: a", "<mac>.)": "<mac>.", "}]}]": "}]}, {id: a, contains: x, by: switch, match: '(?P<mac>.)', source: s, examples: [{message: x}]}]"} {
		if _, err := syslog.Patterns([]byte(strings.Replace(good, old, now, 1))); err == nil || !strings.HasPrefix(err.Error(), "patterns of syslog: ") {
			t.Errorf("%s for %s: %v", now, old, err)
		}
	}
}

// A login's lines are one fact, a move is another; who has logged in stays.
func TestStations(t *testing.T) {
	line := func(form, port string) string {
		return "<189>41: sw-3: Feb  5 17:32:18.001: %" + form + " for client (5882.a899.5c81) on Interface " + port + " AuditSessionID C0A8A84B by CanaryUser"
	}
	const run = "<190>77: wlc-1: Mar 24 10:18:33.637: %CLIENT_ORCH_LOG-6-CLIENT_ADDED_TO_RUN_STATE: Chassis 1 R0/0: wncd: Username entry (CanaryUser) joined with ssid (ward) for device with MAC: 5882.a899.5c81"
	list := []string{
		line("AUTHMGR-5-START: Starting 'dot1x'", "Gi1/0/7"), line("DOT1X-5-SUCCESS: Authentication successful", "Gi1/0/7"), line("AUTHMGR-5-SUCCESS: Authorization succeeded", "Gi1/0/7"),
		line("MAB-5-SUCCESS: Authentication successful", "Gi1/0/9"), line("MAB-5-SUCCESS: Authentication successful", "CanaryUser"), run, run[:len(run)-3],
	}
	want := []string{
		`attached 2 {"mac":"58:82:a8:99:5c:81","port":"Gi1/0/7","switch":"sw-3"}`, `attached 2 {"mac":"58:82:a8:99:5c:81","port":"Gi1/0/9","switch":"sw-3"}`,
		`attached 2 {"controller":"wlc-1","mac":"58:82:a8:99:5c:81","ssid":"ward"}`,
	}
	var chunks []dissecttest.Chunk
	for _, s := range list {
		chunks = append(chunks, dissecttest.Chunk{Data: []byte(s)})
	}
	stream := say(strings.Join(list, "\n") + "\n")
	for name, r := range map[string]*dissecttest.Result{
		"datagrams": dissecttest.PlayDatagrams([2]uint16{40000, 514}, chunks...),
		"a stream":  dissecttest.Play(dissect.Config{}, dissecttest.OnPort(514, stream.Segments(true))),
	} {
		var got []string
		for _, s := range r.Lines(dissecttest.KindSide) {
			if strings.HasPrefix(s, "attached") {
				got = append(got, s)
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") || strings.Contains(string(r.Everything()), "anaryUser") {
			t.Errorf("%s: got\n%s\nwant\n%s\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"), r.Everything())
		}
	}
}
