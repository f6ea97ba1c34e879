package telnet_test

import (
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/telnet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

const (
	doTerminal   = "\xff\xfd\x18"
	willEcho     = "\xff\xfb\x01"
	willTerminal = "\xff\xfb\x18"
	askTerminal  = "\xff\xfa\x18\x01\xff\xf0"
	isTerminal   = "\xff\xfa\x18\x00VT100\xff\xf0"
)

func TestRecognise(t *testing.T) {
	for _, tc := range []struct {
		in        string
		midstream bool
		want      dissector.Verdict
	}{
		{doTerminal, false, dissector.Yes},
		{doTerminal + "login: ", true, dissector.Yes},
		{"\xff", false, dissector.More},
		{"\xff\xfd", false, dissector.More},
		{"\xff\xd8\xff\xe0", false, dissector.No},  // a JPEG
		{"\xff\xfb\x90\x64", false, dissector.No},  // an MP3
		{"\xff\xfb\x01\x00", false, dissector.Yes}, // padded
		{"\xff\xfb\x01\x81", false, dissector.No},
		{"\r\nVxWorks login: ", false, dissector.Yes},
		{"VxWorks login: ", true, dissector.No},
		{"Welcome\r\n", false, dissector.More},
		{"Welcome\r\n" + willEcho, false, dissector.Yes},
		{"login\x01", false, dissector.No},
		{"", false, dissector.More},
	} {
		if got := telnet.Protocol.Recognise([]byte(tc.in), tc.midstream); got != tc.want {
			t.Errorf("%q: %d, want %d", tc.in, got, tc.want)
		}
	}
}

func say(parts ...string) dissecttest.Conversation {
	var c dissecttest.Conversation
	for _, p := range parts {
		side := 0
		if p[0] == '<' {
			side = 1
		}
		c = append(c, dissecttest.Chunk{Side: side, Data: []byte(p[1:])})
	}
	return c
}

var secrets = []string{"CANARY-ALFA", "PHI-0001-CANARY", "jcanaryuser", "canarypassword"}

func session() dissecttest.Conversation {
	return say("<"+doTerminal+willEcho, ">"+willTerminal+"\xff\xfd\x01", "<"+askTerminal, ">"+isTerminal,
		"<\x1b[2J\x1b[1mBaxter SIGMA Spectrum v8.00.01\r\nCANARY-ALFA PHI-0001-CANARY\r\npump7 login: ",
		">jcan", "<jcan", ">aryuser\r\n", "<aryuser\r\nPassword: ", ">canarypassword\r\n", "<\r\nLogin incorrect, jcanaryuser\r\npump7 login: ",
		">roox\x7ft\r\x00", "<root\r\nPassword: ", ">canarypassword\r\x00", "<\r\nLast login: Sat from CANARY-ALFA\r\n# ", ">cat CANARY-ALFA\r\n", "<PHI-0001-CANARY\r\n# ")
}

func TestSession(t *testing.T) {
	r := dissecttest.EveryCut(t, session())
	want := `telnet banner < banner=Baxter SIGMA Spectrum v8.00.01 login hostname=pump7 manufacturer=Baxter software_version=8.00.01
telnet negotiation < options=echo|terminal_type
telnet negotiation > options=echo|terminal_type terminal_type=vt100
telnet login > account=other cleartext_credential=user_pass outcome=failure
telnet login > account=administrator cleartext_credential=user_pass outcome=success
`
	dissecttest.Says(t, r, "telnet", want)
}

func TestCanaries(t *testing.T) {
	dissecttest.NoLeak(t, secrets, session())
	dissecttest.PlantedTalks(t, "telnet", 9999, secrets, session())
}

func TestLogins(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		c          dissecttest.Conversation
	}{
		{"a password only", "login > cleartext_credential=user_pass outcome=success\n", say("<"+willEcho+"\r\nPassword: ", ">x\r\n", "<\r\nward-sw1>")},
		{"no verdict", "login > account=empty cleartext_credential=user_pass outcome=unknown\n", say("<"+willEcho+"Username: ", ">\r\n", "<\r\nPassword: ", ">x\r\n")},
		{"another prompt", "login > account=guest cleartext_credential=user_pass outcome=failure\n", say("<"+willEcho+"User Name : ", ">guest\r\n", "<\r\nPassword: ", ">x\r\n", "<\r\nUser Name : ")},
		{"nobody logs in", "", say("<"+willEcho+"login: ", ">\xff\xfd\x01")},
		{"a menu without login", "", say("<"+willEcho+"1) reset 2) status", ">1\r\n", "<done\r\n")},
	} {
		r := dissecttest.EveryCut(t, tc.c)
		if got := r.Brief(); !strings.HasSuffix(got, tc.want) || (tc.want == "") != !strings.Contains(got, "telnet login") {
			t.Errorf("%s: %s", tc.name, got)
		}
	}
}

// Behind a login nothing is read, and an endless text is not read for ever.
func TestStops(t *testing.T) {
	for _, c := range []dissecttest.Conversation{session(), say("<"+willEcho, "<"+strings.Repeat("text\r\n", 20<<10))} {
		for range 100 {
			c = append(c, say("<more text\r\n")...)
		}
		r := dissecttest.Play(dissect.Config{}, c.Segments(true))
		if n := r.Counters["tcp_segments"]; n > 20 {
			t.Errorf("%d segments were read", n)
		}
	}
}

// Wireshark shows in this capture that the login succeeds ("Last login").
func TestCaptures(t *testing.T) {
	for file, want := range map[string]string{
		"nDPI/pcap/telnet.pcap":                        "account=other cleartext_credential=user_pass outcome=success",
		"malcolm-artifacts/pcap/protocols/Telnet.pcap": "account=administrator cleartext_credential=user_pass outcome=success",
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		if !strings.Contains(r.Brief(), want) {
			t.Errorf("%s: %s", file, r.Brief())
		}
	}
}

func FuzzStream(f *testing.F) {
	parts := session().Sides()
	f.Add(parts[0], parts[1], 40)
	f.Fuzz(dissecttest.FuzzCut)
}
