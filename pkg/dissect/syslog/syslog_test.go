package syslog_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

var (
	home      = [2]uint16{40000, 514}
	elsewhere = [2]uint16{40000, 40001}
)

func udp(ports [2]uint16, list ...string) *dissecttest.Result {
	var chunks []dissecttest.Chunk
	for _, s := range list {
		chunks = append(chunks, dissecttest.Chunk{Data: []byte(s)})
	}
	return dissecttest.PlayDatagrams(ports, chunks...)
}

func lines(r *dissecttest.Result) []string { return r.Lines(dissecttest.KindSide) }

const (
	new5424 = `<165>1 2003-10-11T22:14:15.003Z pump7.hosp.example pumpd 8710 ID47 [timeQuality tzKnown="1"][origin ip="10.1.2.3" software="Pump Agent" swVersion="3.1.4" x="a]b"][nobody@32473 patient="nobody"] about nobody`
	old3164 = `<34>Oct 11 22:14:15 mymachine su: 'su nobody' failed on /dev/pts/8`
)

func TestHeads(t *testing.T) {
	const one = ` messages 0 {"count":"1","facilities":`
	for _, tc := range []struct {
		name, b, want string // want without the sum's fixed parts: facts, then facility and severity
		home, far     string
	}{
		{"RFC 5424", new5424, `message 0 {"app_name":"pumpd","hostname":"pump7.hosp.example","role":"client","software":"Pump Agent","software_version":"3.1.4","syslog_version":"rfc5424"}` + one + `["local4:1"],"role":"client","severities":["notice:1"]}`, "content", "content"},
		{"RFC 5424, all absent", "<0>1 - - - - - -", `message 0 {"role":"client","syslog_version":"rfc5424"}` + one + `["kern:1"],"role":"client","severities":["emerg:1"]}`, "content", "content"},
		{"RFC 3164", old3164, `message 0 {"app_name":"su","hostname":"mymachine","role":"client","syslog_version":"rfc3164"}` + one + `["auth:1"],"role":"client","severities":["crit:1"]}`, "content", "content"},
		{"with a process", "<13>Feb  5 17:32:18 10.0.0.99 sshd[712]: login of nobody", `message 0 {"app_name":"sshd","hostname":"10.0.0.99","role":"client","syslog_version":"rfc3164"}` + one + `["user:1"],"role":"client","severities":["notice:1"]}`, "content", "content"},
		{"without a host", "<13>Feb  5 17:32:18 robin: hello nobody", `message 0 {"app_name":"robin","role":"client","syslog_version":"rfc3164"}` + one + `["user:1"],"role":"client","severities":["notice:1"]}`, "content", "content"},
		{"with the time of RFC 3339", "<167>2016-05-24T09:50:52.926451+02:00 ldap01 slapd[34534]: nobody", `message 0 {"app_name":"slapd","hostname":"ldap01","role":"client","syslog_version":"rfc3164"}` + one + `["local4:1"],"role":"client","severities":["debug:1"]}`, "content", "content"},
		{"a text where the host should be", "<13>Feb  5 17:32:18 Nobody in bed 7 called", `message 0 {"role":"client","syslog_version":"rfc3164"}` + one + `["user:1"],"role":"client","severities":["notice:1"]}`, "content", "content"},
		{"a host that is none", "<13>Feb  5 17:32:18 Nobody's pump: alarm", `message 0 {"role":"client","syslog_version":"rfc3164"}` + one + `["user:1"],"role":"client","severities":["notice:1"]}`, "content", "content"},
		{"Cisco", "<189>29: sw1: *Mar  1 18:46:11: %SYS-5-CONFIG_I: Configured by nobody", `message 0 {"app_name":"%SYS-5-CONFIG_I","role":"client","syslog_version":"cisco"}` + one + `["local7:1"],"role":"client","severities":["notice:1"]}`, "content", "content"},
		{"a priority and a text", "<13>Nobody called", `messages 0 {"count":"1","facilities":["user:1"],"role":"client","severities":["notice:1"]}`, "content", ""},
		{"a time alone", "Feb  5 17:32:18 mymachine su: nobody", `message 0 {"app_name":"su","hostname":"mymachine","role":"client","syslog_version":"rfc3164"} messages 0 {"count":"1","role":"client"}`, "content", ""},
		{"priority 192", "<192>Feb  5 17:32:18 mymachine su: x", "", "port", ""},
		{"priority 013", "<013>Feb  5 17:32:18 mymachine su: x", "", "port", ""},
		{"no priority", "<>Feb  5 17:32:18 mymachine su: x", "", "port", ""},
		{"HTML", "<html><body>", "", "port", ""},
		{"text", "hello nobody", "", "port", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := udp(home, tc.b)
			if got := strings.Join(lines(r), " "); got != tc.want || len(r.Panics) > 0 {
				t.Errorf("%v got\n%s\nwant\n%s", r.Panics, got, tc.want)
			}
			for ports, want := range map[[2]uint16]string{home: tc.home, elsewhere: tc.far} {
				r := udp(ports, tc.b)
				if r.Flows[0].By != want || strings.Contains(string(r.Everything()), "obody") {
					t.Errorf("to %d by %q, want %q: %s", ports[1], r.Flows[0].By, want, r.Everything())
				}
			}
		})
	}
}

func say(parts ...string) dissecttest.Conversation {
	var c dissecttest.Conversation
	for _, p := range parts {
		c = append(c, dissecttest.Chunk{Data: []byte(p)})
	}
	return c
}

// Both framings, mixed as some senders do it, wherever the connection is cut.
func TestStream(t *testing.T) {
	counted := fmt.Sprintf("%d %s", len(old3164), old3164)
	c := say(counted, new5424+"\n", "5 <13>x", old3164+"\r\n\n", "<13>no end")
	want := []string{
		`message 0 {"app_name":"su","hostname":"mymachine","role":"client","syslog_version":"rfc3164"}`,
		`message 0 {"app_name":"pumpd","hostname":"pump7.hosp.example","role":"client","software":"Pump Agent","software_version":"3.1.4","syslog_version":"rfc5424"}`,
		`messages 0 {"count":"5","facilities":["user:2","auth:2","local4:1"],"role":"client","severities":["crit:2","notice:3"]}`,
	}
	whole := c.Sizes()[0]
	for cut := range whole {
		r := dissecttest.Play(dissect.Config{}, c.Join().Cut(cut).Segments(true))
		if got := lines(r); !slices.Equal(got, want) || len(r.Panics) > 0 || r.Flows[0].Protocol != "syslog" {
			t.Fatalf("cut at %d: %v %s got\n%s\nwant\n%s", cut, r.Panics, r.Flows[0].Protocol, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if r := dissecttest.Play(dissect.Config{}, c.Segments(false)); len(r.Of("syslog", "messages")) != 1 {
		t.Errorf("midstream: %s", r.Everything())
	}
}

func TestStreamRefused(t *testing.T) {
	for _, tc := range []struct{ name, text string }{
		{"markup", "<html><head>\n"},
		{"XML", "<?xml version=\"1.0\"?>\n"},
		{"a priority and a text", "<13>hello there, this is not much of a message, but it is a long one\n"},
		{"numbers", "51 messages\n"},
		{"a shell", "0\x00root\x00root\x00ls\x00"},
		{"HTTP", "GET / HTTP/1.1\r\n"},
		{"a large count", "1234567 <13>Feb  5 17:32:18 h su: x"},
		{"an address", "<nobody@hosp.example> said\n"},
	} {
		if r := dissecttest.Play(dissect.Config{}, say(tc.text).Segments(true)); r.Flows[0].Protocol == "syslog" && r.Flows[0].By == proto.ByContent {
			t.Errorf("%s is taken for syslog", tc.name)
		}
	}
	r := dissecttest.Play(dissect.Config{}, say(old3164+"\n", "rubbish\n", old3164+"\n", "<999>x\n", "9999999 <13>x\n").Segments(true))
	if r.Counters["syslog_frame_malformed"] != 2 || r.Counters["syslog_malformed"] != 1 || !strings.Contains(r.Text(), `"count":"2"`) {
		t.Errorf("%s", r.Everything())
	}
}

// No text leaves, wherever a message is cut.
func TestCanaries(t *testing.T) {
	secrets := []string{"Canarella", "canary@home", "CanaryUser"}
	s := canary.New(secrets)
	list := []string{
		`<165>1 2003-10-11T22:14:15.003Z host app - ID [x@1 patient="Canarella"][origin software="Canarella's" swVersion="canary@home"] Canarella`,
		`<13>Feb  5 17:32:18 host sshd[1]: CanaryUser Canarella`, `<13>Feb  5 17:32:18 Canarella was seen`, `<13>Canarella: CanaryUser`, `<13>2016-05-24T09:50:52Z Canarella and CanaryUser`, "Canarella: x",
		`<189>29: *Mar  1 18:46:11: %SYS-5-CONFIG_I: Configured by CanaryUser`, `<13>Feb  5 17:32:18 host canary@home: x`,
		`<189>12: sw-3: Feb  5 17:32:18.001: %DOT1X-5-SUCCESS: Authentication successful for client (0010.a423.19c0) on Interface Gi1/0/12 AuditSessionID 0A1B2C3D Username CanaryUser`,
		`<190>77: Mar 24 10:18:33.637: %CLIENT_ORCH_LOG-6-CLIENT_ADDED_TO_RUN_STATE: Chassis 1 R0/0: wncd: Username entry (CanaryUser) joined with ssid (ward) for device with MAC: 0010.a423.19c1`,
		`<141>Mar 20 10:48:41 wlc-1 authmgr[3469]: <522008> <NOTI> <wlc-1 10.1.1.5>  User Authentication Successful: username=CanaryUser MAC=00:10:a4:23:19:c2 IP=10.1.3.2 role=Canarella VLAN=41 AP=ap-3 SSID=ward AAA profile=p auth method=802.1x auth server=s`,
	}
	var packets []packet.Headers
	known := list[0]
	list[0] = strings.Replace(known, "Canarella's", "canary@home", 1) // which no damage makes a product's name
	for _, b := range list {
		packets = append(packets, dissecttest.Datagram(0, home, []byte(b)))
	}
	dissecttest.Planted(t, "syslog", secrets, packets, say(strings.Join(list, "\n")+"\n").Segments(true))
	for _, b := range append(list, known) {
		for cut := range len(b) + 1 {
			all := udp(home, b[:cut]).Everything()
			all = append(all, dissecttest.Play(dissect.Config{}, say(old3164+"\n"+b[:cut]).Segments(true)).Everything()...)
			if hits := s.Search(all); len(hits) > 0 {
				t.Fatalf("%q cut at %d: %v", b, cut, hits)
			}
		}
	}
}

// A relay of a thousand hosts tells some of them, and counts all.
func TestBounds(t *testing.T) {
	var list []string
	for i := range 1000 {
		list = append(list, fmt.Sprintf("<13>Feb  5 17:32:18 host%d app: x", i))
	}
	r := udp(home, list...)
	if len(r.Facts) != 65 || !strings.Contains(r.Text(), `"count":"1000"`) {
		t.Errorf("%d facts", len(r.Facts))
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add(new5424)
	f.Add(old3164)
	f.Add("<189>29: *Mar  1 18:46:11: %SYS-5-CONFIG_I: x")
	f.Fuzz(func(t *testing.T, b string) {
		if r := udp(home, b, b); len(r.Panics) > 0 || len(r.Facts) > 2 {
			t.Fatal(r.Panics, len(r.Facts))
		}
	})
}

// FuzzStream also holds any input to the rule that cuts change nothing.
func FuzzStream(f *testing.F) {
	f.Add(old3164+"\n", "5 <13>x<13>y\n", 40)
	f.Add(fmt.Sprintf("%d %s", len(new5424), new5424), old3164, 3)
	f.Fuzz(func(t *testing.T, a, b string, cut int) {
		c := say(a + b)
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut).Segments(true))
		if len(got.Panics) > 0 || want.Flows[0].Protocol == "syslog" && got.Text() != want.Text() {
			t.Fatalf("%v got\n%swant\n%s", got.Panics, got.Text(), want.Text())
		}
	})
}
