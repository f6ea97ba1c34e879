package remote_test

import (
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/remote"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

func say(list ...string) dissecttest.Conversation {
	var c dissecttest.Conversation
	for i, s := range list {
		c = append(c, dissecttest.Chunk{Side: i % 2, Data: []byte(s)})
	}
	return c
}

func x11(name, data string) string {
	pad := func(s string) string { return s + string(make([]byte, (4-len(s)%4)%4)) }
	return string([]byte{'l', 0, 11, 0, 0, 0, byte(len(name)), 0, byte(len(data)), 0, 0, 0}) + pad(name) + pad(data)
}

var xServer = string(slices.Concat([]byte{1, 0, 11, 0, 0, 0, 50, 0}, []byte{0x10, 0x27, 0, 0}, make([]byte, 12), []byte{20, 0}, make([]byte, 14))) + "The X.Org Foundation" + "CANARY-ALFA"

func TestConversations(t *testing.T) {
	secrets := []string{"jcanaryuser", "canarypassword", "CANARY-ALFA"}
	var planted [][]packet.Headers
	for _, tc := range []struct {
		protocol string
		port     uint16
		want     string
		c        dissecttest.Conversation
	}{
		{"rsh", 514, "rsh login > account=administrator legacy=true\n", say("1022\x00jcanaryuser\x00root\x00cat CANARY-ALFA\x00", "\x00", "more")},
		{"rexec", 512, "rexec login > account=administrator cleartext_credential=user_pass legacy=true\n", say("0\x00root\x00canarypassword\x00cat CANARY-ALFA\x00", "\x00", "more")},
		{"rlogin", 513, "rlogin login > account=other legacy=true terminal_type=xterm\n", say("\x00jcanaryuser\x00jcanaryuser\x00xterm/38400\x00", "\x00", "canarypassword\r")},
		{"x11", 6003, "x11 setup > cleartext_credential=cookie mechanism=magic_cookie\nx11 display < manufacturer=The X.Org Foundation outcome=success release=10000\n", say(x11("MIT-MAGIC-COOKIE-1", "canarypassword12"), xServer)},
		{"x11", 6000, "x11 setup > mechanism=none\nx11 display < outcome=refused\n", say(x11("", ""), "\x00\x10\x0b\x00\x00\x00\x05\x00CANARY-ALFA, no")},
	} {
		r := dissecttest.EveryCutOn(t, tc.port, tc.c)
		if r.Brief() != tc.want || r.Flows[0].Protocol != tc.protocol || r.Flows[0].By != proto.ByContent {
			t.Errorf("%s: %+v got\n%swant\n%s", tc.protocol, r.Flows[0], r.Brief(), tc.want)
		}
		dissecttest.NoLeakOn(t, tc.port, secrets, tc.c)
		planted = append(planted, dissecttest.OnPort(tc.port, tc.c.Segments(true)))
	}
	dissecttest.Planted(t, "remote", secrets, planted...)
}

// Elsewhere they are not looked for, but X11.
func TestHome(t *testing.T) {
	for _, s := range []string{"1022\x00a\x00root\x00ls\x00", "\x00a\x00b\x00xterm/38400\x00"} {
		if r := dissecttest.Play(dissect.Config{}, say(s, "\x00").Segments(true)); r.Flows[0].Protocol != "" {
			t.Errorf("%q: %+v", s, r.Flows[0])
		}
	}
}

func TestRecognise(t *testing.T) {
	for in, want := range map[string]dissector.Verdict{"1022\x00a\x00b\x00c\x00": dissector.Yes, "1022\x00a": dissector.More, "x\x00a\x00b\x00c\x00": dissector.No, "1022\x00\x00b\x00c\x00": dissector.No, "\x00a\x00b\x00vt100/9600\x00": dissector.No} {
		if got := remote.RSH.Recognise([]byte(in), false); got != want {
			t.Errorf("rsh %q: %d", in, got)
		}
	}
	for in, want := range map[string]dissector.Verdict{"\x00a\x00b\x00vt100/9600\x00": dissector.Yes, "\x00": dissector.More, "\x00a\x00b\x00vt100\x00": dissector.No, "\x00\x01": dissector.No, "a": dissector.No} {
		if got := remote.Login.Recognise([]byte(in), false); got != want {
			t.Errorf("rlogin %q: %d", in, got)
		}
	}
	for in, want := range map[string]dissector.Verdict{x11("", ""): dissector.Yes, "l": dissector.More, "l\x00\x0b": dissector.More, "l\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00": dissector.No, "list": dissector.No} {
		if got := remote.X11.Recognise([]byte(in), false); got != want {
			t.Errorf("x11 %q: %d", in, got)
		}
	}
}

// nDPI's captures: one is rsh, in the other syslog was once taken for it.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]bool{"rsh.pcap": true, "rsh-syslog-false-positive.pcap": false} {
		for _, f := range dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/"+file))).Flows {
			if (f.Protocol == "rsh") != want {
				t.Errorf("%s: %+v", file, f)
			}
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("1022\x00a\x00b\x00c\x00"), []byte("\x00"), 5)
	f.Add([]byte(x11("MIT-MAGIC-COOKIE-1", "0123456789abcdef")), []byte(xServer), 5)
	f.Fuzz(dissecttest.FuzzCut)
}
